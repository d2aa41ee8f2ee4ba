"""How to reach Redis, once for the cluster's links and for the outbox of webhooks.

redis-py asks Sentinels and cluster nodes, and carries the outbox. The cluster's links dial the servers that
are found here; their own connection is in `cluster/redis`. Read:

- `access`      the settings as what a connection needs: TLS, login, look-ups of names, a time limit
- `greeting`    the first command, with the login, and whether its answer is from a server that we can use
- `connection`  redis-py's connection, which connects and greets by these rules
- `discovery`   asks Sentinels for the master, and a Redis Cluster for the owners of its slots
- `client`      makes redis-py's client: one server, a master with Sentinels, a Redis Cluster
- `scripts`     reads Lua scripts, and names them by their SHA
- `joined`      lets those who want the same thing at the same time share one attempt
- `errors`      words what went wrong, for operators and without secrets

May import: `config`, `errors`, `resolving`.
"""
