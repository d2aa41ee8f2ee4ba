"""An outbox in the cluster's Redis. The Lua scripts in `lua/` do its atomic steps.

Read:

- `outbox`   implements the outbox with commands and scripts
- `scripts`  puts the Lua scripts together
- `client`   runs commands and scripts with redis-py, in bounded time and with one kind of error

May import: `config`, `redis`.
"""
