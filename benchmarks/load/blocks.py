"""The parts of hand-written pages that the benchmarks write: between a marker with a name and the next end.

<!-- name: written by benchmarks/load/sizing.py -->
...
<!-- end -->
"""

import re

_BLOCK = r"(<!-- {name}: written by \S+ -->\n).*?(<!-- end -->)"


def replace(page: str, name: str, text: str) -> str:
    """The page with the text between the markers of a block. Raises ValueError when they are missing."""
    block = re.compile(_BLOCK.format(name=re.escape(name)), re.DOTALL)
    if not block.search(page):
        raise ValueError(f"the page has no markers for {name!r}")
    return block.sub(lambda found: f"{found[1]}{text}\n{found[2]}", page)
