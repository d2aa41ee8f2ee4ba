"""The HTTP API for backends, and the answers for load balancers (docs/protocol/http-api.md).

Read in the order of a request's life:

- `asgi`       bytes in and out: gzip, HEAD, CORS; turns errors into answers, here only
- `fast_publish`  answers publications without an ASGI cycle, in the HTTP parser's step
- `bodies`     gathers the body of a request, or drops it
- `routes`     path → endpoint
- `api`        the steps of each request: app and signature at its head, digest and rate with its body
- `requests`   the argument of an endpoint, and how parameters are read
- `responses`  the return values of endpoints
- `errors`     refusals and their status
- `refusal_log`  counts refused requests, and logs why
- `parts`      the objects that endpoints share, as one value
- `traffic`    counts requests and their bytes, by app
- `events`     publishing: `/events`, `/batch_events`
- `channels`   questions about channels and their users
- `users`      the endpoint about signed-in users
- `health`     unsigned answers for load balancers

May import: `app`, `auth`, `config`, `diagnosis`, `errors`, `interfaces`, `log_rate_limit`, `nesting`, `node`,
`protocol`, `signals`.
"""

from pusher_server.http_api.asgi import create_api

__all__ = ["create_api"]
