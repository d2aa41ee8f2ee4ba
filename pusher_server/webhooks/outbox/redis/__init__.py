"""An outbox in the cluster's Redis. Its atomic steps are the Lua scripts in `lua/`.

Read:

- `outbox`   the outbox: what it can do, in commands and scripts
- `scripts`  puts its Lua scripts together
- `client`   runs them by redis-py, in bounded time and with one kind of error

May import: `config`, `redis`.
"""
