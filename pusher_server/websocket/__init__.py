"""The WebSocket transport: the upgrade, the frames, one connection per client. `clients` has the rest.

Read in the order of a connection's life:

- `edge`        the parts that all WebSocket connections share, and their paths
- `handshake`   the HTTP upgrade (RFC 6455 §4.2) of an already parsed request
- `connection`  the session of one client: its input and output are frames
- `framing`     bytes → messages: a fast path, and the parser of `websockets`
- `ending`      the last seconds of a connection: our close frame must arrive

May import: `app`, `clients`, `config`, `errors`, `hub`, `node`, `protocol`, `signals`, `turns`.
"""
