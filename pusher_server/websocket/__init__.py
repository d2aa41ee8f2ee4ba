"""The WebSocket edge: lets clients drive the node.

- `edge`        who may connect; what all connections share
- `handshake`   the HTTP upgrade (RFC 6455 §4.2)
- `connection`  one client: the boring shell around session, reader and node
- `answers`     from an error to what the client is told
- `dispatch`    from a message to the node's verb
- `framing`     bytes in, messages out
- `mailbox`     keeps one connection's messages in order when one must wait
- `heartbeat`   one sweep for everybody's deadlines and slow readers
- `progress`    whether a slow reader still takes anything
- `ending`      the last seconds, after our close frame
- `drain`       the pace at which everybody is sent away
"""
