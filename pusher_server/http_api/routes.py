"""Path -> endpoint: the table of the API, and how a path is found in it."""

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from pusher_server.http_api import channels, events, health, users
from pusher_server.http_api.errors import ApiError, method_not_allowed, not_found, upgrade_required
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.requests import Call
from pusher_server.http_api.responses import Answer, ApiResponse
from pusher_server.interfaces import Action
from pusher_server.protocol.client_path import key_in

Endpoint = Callable[[ApiParts, Call], Answer]
Operation = Callable[[ApiParts], ApiResponse]

#: Signed. Reading is rated here, one each; publications rate themselves by their size.
ENDPOINTS: tuple[tuple[str, str, Endpoint, Action | None], ...] = (
    ("POST", "/apps/{app}/events", events.trigger, None),
    ("POST", "/apps/{app}/batch_events", events.trigger_batch, None),
    ("GET", "/apps/{app}/channels", channels.occupied, Action.READ),
    ("GET", "/apps/{app}/channels/{name}", channels.one, Action.READ),
    ("GET", "/apps/{app}/channels/{name}/users", channels.members, Action.READ),
    ("GET", "/apps/{app}/channels/{name}/stats", channels.stats, Action.READ),
    ("POST", "/apps/{app}/channels/{name}/events", events.trigger_raw, None),
    ("POST", "/apps/{app}/users/{user}/terminate_connections", users.terminate, Action.READ),
    # Python's library leaves the app out; its key names it.
    ("POST", "/users/{user}/terminate_connections", users.terminate, Action.READ),
    ("GET", "/apps/{app}/connections", channels.connections, Action.READ),
)

#: Unsigned.
OPERATIONS: tuple[tuple[str, Operation], ...] = (
    ("/", health.alive),
    ("/live", health.alive),
    ("/up", health.up),
    ("/health", health.health),
    ("/ping", health.ping),
    ("/ready", health.ready),
)

_PUBLICATIONS = (events.trigger, events.trigger_batch)
#: So many paths of so many bytes at the most are remembered with what they mean.
_REMEMBERED = 1_024
_REMEMBERED_BYTES = 256


class Route(Struct, frozen=True):
    """A signed endpoint. `action` is the rate limit that it counts against, None when it consumes by itself.

    The answer to a publication waits for nothing but counts, and only if these were requested.
    """

    endpoint: Endpoint
    action: Action | None
    is_publication: bool


class Target(Struct, frozen=True):
    """A request that was recognised: its route and the parameters of its path, percent-decoded.

    `app_id` is None where the path has none.
    """

    route: Route
    app_id: str | None
    arguments: tuple[str, ...]


# Literals and parameters alternate in every path of the API, the first one being a literal. So the
# literals and the length find the route: one dict look-up, no pattern is tried.
Shape = tuple[int, tuple[bytes, ...]]
#: Method -> the route or operation that serves it.
Methods = dict[str, Route | Operation]


def _table() -> dict[Shape, Methods]:
    """Shape of a path -> method -> route."""
    table: dict[Shape, Methods] = {}
    rows: list[tuple[str, str, Route | Operation]] = [
        (method, path, Route(endpoint, action, endpoint in _PUBLICATIONS))
        for method, path, endpoint, action in ENDPOINTS
    ]
    rows += [("GET", path, operation) for path, operation in OPERATIONS]
    for method, path, route in rows:
        segments = path.encode().split(b"/")[1:]
        table.setdefault((len(segments), tuple(segments[::2])), {})[method] = route
    return table


class Routes:
    """All paths of the API; `path_prefix` is `/name` or empty."""

    def __init__(self, path_prefix: str = "") -> None:
        self._prefix = path_prefix.encode()
        self._clients_prefix = path_prefix
        self._table = _table()
        #: Targets that were found lately; most backends use the same few paths.
        self._recent: dict[tuple[str, bytes], Target] = {}

    def find(self, method: str, path: bytes) -> Target | Operation:
        """The target of a method and a path, with or without prefix and trailing slash; HEAD is a GET.

        Raises ApiError: 404 for an unknown path, 405 for a known one with another method, 426 for a
        client's path. No app is looked up for it, so all keys have the same answer.
        """
        request_line = (method, path)
        known = self._recent.get(request_line)
        if known is not None:
            return known
        target = self._find(method, path)
        if isinstance(target, Target) and len(path) <= _REMEMBERED_BYTES:
            if len(self._recent) >= _REMEMBERED:
                self._recent.clear()
            self._recent[request_line] = target
        return target

    def unsigned_methods(self, path: bytes) -> list[str]:
        """The methods of an unsigned path, or of `*` (the whole server); empty for all other paths."""
        _, methods = self._look_up(b"/" if path == b"*" else path)
        if methods is None or any(isinstance(route, Route) for route in methods.values()):
            return []
        return [*_with_head(methods), "OPTIONS"]

    def _find(self, method: str, path: bytes) -> Target | Operation:
        segments, methods = self._look_up(path)
        if methods is None or b"" in segments[1::2]:  # no app id, or no name of a channel
            text = path.decode("latin-1")
            if method in ("GET", "HEAD") and key_in(text, self._clients_prefix) is not None:
                raise upgrade_required()
            raise not_found(text)
        route = methods.get("GET" if method == "HEAD" else method)
        if route is None:
            raise method_not_allowed(_with_head(methods))
        literals, parameters = segments[::2], segments[1::2]
        if not isinstance(route, Route):
            return route
        try:
            arguments = tuple([unquote_to_bytes(part).decode() for part in parameters])
        except UnicodeDecodeError:
            raise ApiError(400, "The path is not UTF-8") from None
        if literals[0] == b"apps":
            return Target(route, arguments[0], arguments[1:])
        return Target(route, None, arguments)

    def _look_up(self, path: bytes) -> tuple[list[bytes], Methods | None]:
        """The path's segments, and what there is for them; None when the path is unknown."""
        prefix = self._prefix
        segments, methods = self._methods(path)
        # As received first: a prefix may look like the beginning of our own paths.
        if methods is None and prefix and (path == prefix or path.startswith(prefix + b"/")):
            return self._methods(path[len(prefix) :])
        return segments, methods

    def _methods(self, path: bytes) -> tuple[list[bytes], Methods | None]:
        segments = path.rstrip(b"/").split(b"/")[1:] or [b""]
        return segments, self._table.get((len(segments), tuple(segments[::2])))


def _with_head(methods: Methods) -> list[str]:
    return [*methods, "HEAD"] if "GET" in methods else [*methods]
