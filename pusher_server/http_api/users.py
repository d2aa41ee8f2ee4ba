"""The endpoint about signed-in users."""

from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.requests import Call
from pusher_server.http_api.responses import EMPTY, ApiResponse


def terminate(api: ApiParts, call: Call) -> ApiResponse:
    """`POST …/users/{id}/terminate_connections`: close the user's connections, cluster-wide.

    The answer is the same when there is no such user. The body has no meaning and is not parsed.
    """
    (user_id,) = call.arguments
    api.node.users.terminate(call.app, user_id)
    return EMPTY
