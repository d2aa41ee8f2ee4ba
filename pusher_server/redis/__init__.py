"""How to reach Redis, once for the cluster's links and for the outbox of webhooks.

redis-py queries Sentinels and cluster nodes, and sends the outbox's commands. This package also finds the
servers that the cluster's links dial; the links have their own connection, in `cluster/redis`. Read:

- `access`      turns the settings into the needs of a connection: TLS, login, look-ups of names, a time limit
- `greeting`    the first command, with the login, and the check of the server by its answer
- `connection`  redis-py's connection, which connects and greets by these rules
- `discovery`   queries Sentinels for the master, and a Redis Cluster for the owners of its slots
- `client`      makes redis-py's client: one server, a master with Sentinels, a Redis Cluster
- `scripts`     reads Lua scripts, and names them by their SHA
- `joined`      lets concurrent callers share one attempt
- `errors`      describes errors of Redis for operators, without secrets

May import: `config`, `errors`, `resolving`.
"""
