"""The WebSocket edge: lets clients drive the node.

- `edge`        who may connect; what all connections share
- `handshake`   the HTTP upgrade (RFC 6455 §4.2)
- `connection`  one client: the boring shell around session, reader and node
- `framing`     bytes in, messages out
- `mailbox`     keeps one connection's messages in order when one must wait
- `heartbeat`   one sweep for everybody's deadlines and slow readers
"""
