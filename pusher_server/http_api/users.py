"""The endpoint about signed-in users."""

from pusher_server.http_api.requests import Call
from pusher_server.http_api.responses import EMPTY, ApiResponse
from pusher_server.node.node import Node


def terminate(node: Node, call: Call) -> ApiResponse:
    """`POST …/users/{id}/terminate_connections`: close the user's connections, cluster-wide.

    The answer is the same when there is no such user. The body says nothing and is not looked at.
    """
    (user_id,) = call.arguments
    node.users.terminate(call.app, user_id)
    return EMPTY
