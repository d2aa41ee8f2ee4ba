"""The WebSocket transport: the upgrade, the frames, one connection per client. `clients` has the rest.

Read in the order of a connection's life:

- `edge`        decides who may connect: path, key, version, TLS, origin, capacity
- `tls_only`    refuses clients without TLS at a bounded rate, and logs the reason
- `handshake`   the HTTP upgrade (RFC 6455 §4.2) of an already parsed request
- `state`       the states of a connection
- `connection`  the `asyncio.Protocol` per client
- `framing`     bytes → messages: a fast path, and the parser of `websockets`
- `ending`      the last seconds of a connection: our close frame must arrive

May import: `app`, `clients`, `config`, `errors`, `hub`, `log_rate_limit`, `node`, `protocol`, `signals`,
`turns`.
"""
