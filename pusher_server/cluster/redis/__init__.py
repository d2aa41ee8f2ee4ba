"""A store on Redis: one server, a master that Sentinels watch, or a Redis Cluster.

The Lua scripts in `lua/` do the steps that must be atomic. Read:

- `topology`    makes a link for each store, and finds the server that each link dials
- `link`        one store: sends commands, receives answers and pushes
- `encoding`    encodes a store's commands for Redis, and decodes its replies
- `scripts`     puts the Lua scripts together
- `connection`  one connection: RESP3, in order, one write per turn of the loop
- `dialing`     connects and greets, and loads the scripts

Login, TLS and discovery are in the package `redis` of the whole server.

May import: `config`, `errors`, `interfaces`, `redis`, `unreadable`.
"""
