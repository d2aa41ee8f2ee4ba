"""The HTTP API for backends, and the answers for load balancers (docs/protocol/http-api.md).

- `asgi`       bytes in and out: body, gzip, HEAD, CORS; the one place where errors become answers
- `routes`     path -> endpoint, app, signature, rate limit; `Api.respond` is the synchronous core
- `requests`   what an endpoint is given, and how parameters are read
- `responses`  what it gives back
- `errors`     refusals and their status
- `events`, `channels`, `users`, `health`   the endpoints, by noun
"""

from pusher_server.http_api.asgi import create_api

__all__ = ["create_api"]
