"""The composition root: settings in, a running server out. The only room that sees every other.

- `composition`   builds the objects and wires them
- `lifecycle`     uvicorn's server with our signals, drain and sweep
- `http_protocol` uvicorn's HTTP protocol with our upgrade, time-outs and bounds
- `listening`     sockets and the limit on open files
- `accepting`     clients are taken in at a pace
- `file_reserve`  files that clients do not get
- `tls`           certificates, read again without dropping anybody
- `address_limits` how many connections one address may have
- `proxies`       what a trusted proxy says about a client
"""

from pusher_server.server.composition import Server, StartReport

__all__ = ["Server", "StartReport"]
