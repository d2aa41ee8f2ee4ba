"""Where apps come from: adapters that serve `interfaces.AppProvider`."""
