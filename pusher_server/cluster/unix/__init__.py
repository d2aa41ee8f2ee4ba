"""The store of one machine's workers: a small process that they all reach over a Unix socket.

Read:

- `bus`      the process: a `MemoryStore` behind a socket, and the subscriptions of each worker
- `link`     a worker's connection to it
- `framing`  the frames between the two

May import: `errors`.
"""
