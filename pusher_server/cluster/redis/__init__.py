"""A cluster by Redis: one server, a master that Sentinels watch, or a Redis Cluster.

`topology.redis_stores` makes the links; they do what `cluster.store` says.
"""
