"""The WebSocket edge: lets clients drive the node.

Read in the order of a connection's life:

- `edge`        decides who may connect: path, key, version, TLS, origin, capacity
- `tls_only`    refuses clients without TLS at a bounded rate, and logs the reason
- `handshake`   the HTTP upgrade (RFC 6455 §4.2) of an already parsed request
- `state`       the states of a connection
- `connection`  the `asyncio.Protocol` per client
- `framing`     bytes → messages: a fast path, and the parser of `websockets`
- `dispatch`    calls the node's verb for a message
- `answers`     turns errors into answers, here only
- `mailbox`     keeps the order per channel when a message must wait
- `heartbeat`   one sweep for all deadlines and slow readers
- `progress`    what is kept for slow readers, and whether they still acknowledge anything
- `ending`      the last seconds of a connection: our close frame must arrive
- `drain`       the pace at which clients are sent away

May import: `app`, `config`, `errors`, `hub`, `line_pace`, `node`, `protocol`, `signals`, `turns`.
"""
