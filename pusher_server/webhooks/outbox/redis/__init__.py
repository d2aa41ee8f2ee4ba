"""An outbox in the cluster's Redis. Its atomic steps are the Lua scripts in `lua/`.

Read:

- `outbox`   the outbox: what it can do, in commands and scripts
- `scripts`  loads its Lua scripts
- `client`   makes redis-py's client from `[cluster.redis]`

May import: `config`, `errors`.
"""
