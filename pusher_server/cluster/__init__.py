"""How nodes tell each other: adapters that serve `interfaces.Broker` and `interfaces.Roster`."""
