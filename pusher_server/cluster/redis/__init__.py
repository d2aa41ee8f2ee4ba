"""A store on Redis: one server, a master that Sentinels watch, or a Redis Cluster.

The Lua scripts in `lua/` are the steps that must be atomic. Read:

- `topology`    makes the links: which stores there are, and on which server each one lives
- `link`        one store: sends commands, receives answers and pushes
- `encoding`    encodes a store's commands for Redis, and decodes its replies
- `scripts`     loads the Lua scripts
- `connection`  one connection: RESP3, in order, one write per turn of the loop
- `dialing`     connects, with TLS and login, and checks that the server is usable
- `errors`      words what went wrong, for operators and without secrets

May import: `config`, `errors`, `interfaces`, `resolving`, `unreadable`.
"""
