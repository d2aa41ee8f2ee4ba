"""The composition root: settings in, a running server out. One process; `processes` runs several.

Read first how a process is built:

- `composition`       settings → objects → uvicorn, top to bottom; reload
- `specs`             the start-up values of a process that a supervisor has started
- `cluster`           chooses broker, roster and census
- `webhooks`          connects webhooks to the node and the cluster
- `samples`           metrics of the cluster and of webhooks, which may not know of metrics
- `operations`        the operations listener's socket and application
- `lifecycle`         uvicorn's server with our signals, drain and sweep

Then how bytes reach it. The protocol classes build on each other, `paced_protocol` first:

- `uvicorn_config`    the settings of uvicorn for the clients
- `listening`         sockets to listen on, and the limit on open files
- `accepting`         accepts clients at a bounded rate; TLS handshakes and their time-out
- `certificate_expiry`  until when certificates are valid: log lines and a metric
- `tls_opening`       the first bytes of a client on a port with TLS
- `tls`               certificates, replaced while serving
- `proxies`           the headers in which a trusted proxy describes a client
- `proxy_protocol`    the header with which a trusted proxy begins a connection, if it is to send one
- `address_limits`    how many connections and attempts one address may have
- `paced_protocol`    uvicorn's HTTP protocol with bounded work per turn of the loop
- `misdirected`       names other protocols than a port's, and failed TLS handshakes
- `http_pieces`       cuts a client's bytes so that the parser does little with each piece
- `http_heads`        the heads of requests and refusals
- `bounded_protocol`  bounds of size and time, and refusals that clients can read
- `request_guard`     the time-outs and memory of all HTTP connections
- `http_protocol`     our upgrade, heads judged before bodies, calls to the fast path for publications
- `operations_protocol`  the same bounds for one connection of the operations listener
- `operations_listener`  serves it until the end of a drain
- `file_reserve`      how many files clients may have, and which go first when files run short
- `loop_errors`       limits the log lines of a loop that has no file left
- `evidence_watch`    lets a node look at its evidence once a second
- `coalesced`         turns many SIGHUPs into one reload

May import: every other package but `cli`, but `doctor` and but `processes`.
"""

from pusher_server.server.composition import Server, StartReport

__all__ = ["Server", "StartReport"]
