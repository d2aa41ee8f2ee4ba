"""Unsigned answers for load balancers, on the paths that other servers have.

See docs/protocol/http-api.md#health.
"""

from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.responses import ApiResponse, json_response, text_response


def alive(_api: ApiParts) -> ApiResponse:
    """`GET /` and `/live`: the process answers."""
    return text_response(200, "OK")


def up(_api: ApiParts) -> ApiResponse:
    """`GET /up`, as Reverb."""
    return json_response({"health": "OK"})


def health(_api: ApiParts) -> ApiResponse:
    """`GET /health`, as laravel-websockets."""
    return json_response({"ok": True})


def ping(_api: ApiParts) -> ApiResponse:
    """`GET /ping`, as poxa."""
    return text_response(200, "Pong!")


def ready(api: ApiParts) -> ApiResponse:
    """`GET /ready`: whether to send clients here; 500 while draining, as soketi.

    With the other nodes out of reach it is still better to come here than nowhere: 200. The same when the apps'
    database is away, once it has been read: known apps go on, and it is away for all nodes. The reason, with
    its addresses and paths, is for operators: the log and the operations listener have it.
    """
    if api.node.draining:
        return text_response(500, "draining\n")
    if not api.apps.ready:
        return text_response(500, "not ready\n")
    return text_response(200, "OK" if api.problem() is None else "degraded\n")
