"""Sessions of clients over any transport: admission, messages, answers and deadlines.

The connection of a transport, such as `websocket`, extends `Session`. Read:

- `request`        the HTTP request with which a client comes
- `admission`      decides who may connect: app, version, TLS, origin, capacity
- `tls_only`       refuses clients without TLS at a bounded rate, and logs the reason
- `connection_log`  a line for each connection that opens or ends, at the level debug
- `registry`       the clients of all transports, and how many may stay
- `edge`           the parts that all sessions of one transport share
- `state`          the states of a session
- `session`        one client: it is let in, served, written to, watched, and forgotten
- `ordered_input`  the half of a session that decides when to read and when to serve
- `dispatch`       calls the node's verb for a message
- `mailbox`        keeps the order per channel when a message must wait
- `answers`        turns errors into answers, here only
- `heartbeat`      one sweep for all deadlines and slow readers
- `full_apps`      pings the silent clients of a full app, so that dead ones free their places sooner
- `slow_reader`    keeps output for slow readers, and finds out if they acknowledge any of it
- `drain`          the pace at which clients are sent away

May import: `app`, `config`, `diagnosis`, `errors`, `hub`, `interfaces`, `log_rate_limit`, `node`, `protocol`,
`signals`, `turns`.
"""
