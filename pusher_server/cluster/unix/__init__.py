"""The store of one machine's workers: a small process that they all reach over a Unix socket."""
