"""One stranger against everybody: floods of every shape, and what an ordinary client notices of them."""
