"""The objects that all endpoints of the API share, as one value."""

from collections.abc import Callable

from msgspec import Struct

from pusher_server.http_api.traffic import ApiTraffic
from pusher_server.interfaces import AppProvider, RateLimiter
from pusher_server.node.node import Node


class ApiParts(Struct, frozen=True, kw_only=True):
    """`problem` returns in one line why other nodes or the apps are unreachable; None while all is well."""

    node: Node
    apps: AppProvider
    limiter: RateLimiter
    problem: Callable[[], str | None] = lambda: None
    traffic: ApiTraffic
