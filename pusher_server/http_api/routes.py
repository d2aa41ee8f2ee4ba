"""Path -> endpoint, and what every signed request goes through before its endpoint runs.

The order is fixed (PROTOCOL §7.1): route, authentication, app enabled, rate limit, body. What comes
after the app look-up is `Api.respond`: synchronous unless the endpoint asks the cluster, so that a
hot route can be answered where no ASGI cycle exists.
"""

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from msgspec import Struct

from pusher_server.app import App
from pusher_server.auth.requests import (
    Query,
    TimestampExpired,
    authorized_app,
    parse_query,
    verify,
)
from pusher_server.config import HttpSettings
from pusher_server.errors import AuthenticationError
from pusher_server.http_api import channels, events, health, users
from pusher_server.http_api.errors import ApiError, method_not_allowed, rate_limited
from pusher_server.http_api.requests import ApiRequest, Call, NotAtOnce, inflate
from pusher_server.http_api.responses import Answer, ApiResponse
from pusher_server.interfaces import Action
from pusher_server.node.node import Node
from pusher_server.signals import RequestRefused

Endpoint = Callable[[Node, Call], Answer]
Operation = Callable[[Node], ApiResponse]

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
    # Python's library leaves the app out; its key says which one.
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


#: Their answers wait for nothing but counts, and those only if asked for.
_PUBLICATIONS = (events.trigger, events.trigger_batch)
#: So many paths of so many bytes at the most are remembered with what they mean.
_REMEMBERED = 1_024
_REMEMBERED_BYTES = 256


class Route(Struct, frozen=True):
    """A signed endpoint. `action` is what it is rated as, None when it rates itself."""

    endpoint: Endpoint
    action: Action | None


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


def _table() -> dict[Shape, dict[str, Route | Operation]]:
    """Shape of a path -> method -> route."""
    table: dict[Shape, dict[str, Route | Operation]] = {}
    rows: list[tuple[str, str, Route | Operation]] = [
        (method, path, Route(endpoint, action)) for method, path, endpoint, action in ENDPOINTS
    ]
    rows += [("GET", path, operation) for path, operation in OPERATIONS]
    for method, path, route in rows:
        segments = path.encode().split(b"/")[1:]
        table.setdefault((len(segments), tuple(segments[::2])), {})[method] = route
    return table


class Api:
    """The API of one node. `clock` gives Unix seconds; `path_prefix` is `/name` or empty."""

    def __init__(
        self, node: Node, config: HttpSettings, clock: Callable[[], float], path_prefix: str = ""
    ) -> None:
        self._node = node
        self._config = config
        self._clock = clock
        self._prefix = path_prefix
        self._prefix_bytes = path_prefix.encode()
        self._table = _table()
        #: What was found lately; most backends ask for the same few paths.
        self._found: dict[tuple[str, bytes], Target] = {}

    async def answer(self, request: ApiRequest) -> ApiResponse:
        """The whole way of a request. Refusals are raised; `errors.answer_to` translates them."""
        target = self.find(request)
        if not isinstance(target, Target):
            return target(self._node)
        query = parse_query(request.query)
        app = await self._app_of(target, query.key)
        self._count(app, request)
        answer = self.respond(app, target, query, request)
        response = answer if isinstance(answer, ApiResponse) else await answer
        self._node.hub.traffic.of(app.id).http_bytes_sent += len(response.body)
        return response

    def answer_now(self, request: ApiRequest) -> ApiResponse | None:
        """The answer to a publication that asks for no counts, if its app is known at once.

        None means that it would have to wait, and that nothing has happened yet. Refusals are raised.
        """
        # Counts may have to be gathered from the cluster after the event is out. The plain word spares
        # checking the request twice; who writes it in another way is found out by the endpoint.
        if b"info" in request.query or b'"info"' in request.body:
            return None
        target = self.find(request)
        if not isinstance(target, Target) or target.route.endpoint not in _PUBLICATIONS:
            return None
        query = parse_query(request.query)
        lookup = self._app_of(target, query.key)
        try:
            lookup.send(None)
        except StopIteration as found:
            app: App = found.value
        else:
            lookup.close()
            return None
        try:
            answer = self.respond(app, target, query, request, at_once=True)
        except NotAtOnce:
            return None
        except Exception:
            self._count(app, request)
            raise
        assert isinstance(answer, ApiResponse)  # publications wait only for counts
        self._count(app, request)
        self._node.hub.traffic.of(app.id).http_bytes_sent += len(answer.body)
        return answer

    def find(self, request: ApiRequest) -> Target | Operation:
        """What method and path stand for, with or without prefix and trailing slash; HEAD is a GET.

        Raises ApiError: 404 for an unknown path, 405 for a known one with another method.
        """
        asked = (request.method, request.path)
        known = self._found.get(asked)
        if known is not None:
            return known
        found = self._find(request)
        if isinstance(found, Target) and len(request.path) <= _REMEMBERED_BYTES:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[asked] = found
        return found

    def _find(self, request: ApiRequest) -> Target | Operation:
        path = request.path
        prefix = self._prefix_bytes
        if prefix and (path == prefix or path.startswith(prefix + b"/")):
            path = path[len(prefix) :]
        segments = path.rstrip(b"/").split(b"/")[1:] or [b""]
        literals, parameters = tuple(segments[::2]), segments[1::2]
        methods = self._table.get((len(segments), literals))
        if methods is None:
            raise ApiError(404, "Not found")
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            allowed = [*methods, "HEAD"] if "GET" in methods else [*methods]
            raise method_not_allowed(allowed)
        if not isinstance(route, Route):
            return route
        try:
            arguments = tuple([unquote_to_bytes(part).decode() for part in parameters])
        except UnicodeDecodeError:
            raise ApiError(400, "The path is not UTF-8") from None
        if literals[0] == b"apps":
            return Target(route, arguments[0], arguments[1:])
        return Target(route, None, arguments)

    async def _app_of(self, target: Target, key: str) -> App:
        """The app of the path, of the key where the path has none. Raises AuthenticationError."""
        apps = self._node.apps
        if target.app_id is None:
            named = owner = await apps.by_key(key)
        else:
            named = await apps.by_id(target.app_id)
            if named is not None and named.secret_of(key) is not None:
                return named
            owner = await apps.by_key(key)
        try:
            return authorized_app(key, named, owner)
        except AuthenticationError:
            self._node.emit(RequestRefused(app_id="", reason="unknown_key"))
            raise

    def _count(self, app: App, request: ApiRequest) -> None:
        traffic = self._node.hub.traffic.of(app.id)
        traffic.http_requests += 1
        traffic.http_bytes_received += len(request.body)

    def respond(
        self,
        app: App,
        target: Target,
        query: Query,
        request: ApiRequest,
        *,
        at_once: bool = False,
    ) -> Answer:
        """What `app` gets for this request: an answer, or a coroutine where the cluster is asked.

        Raises AuthenticationError, ApiError, ProtocolError; with `at_once` also NotAtOnce.
        """
        route, config, node = target.route, self._config, self._node
        try:
            query = verify(
                app,
                request.method,
                request.path,
                query,
                request.body,
                self._clock(),
                prefix=self._prefix,
                tolerance=config.timestamp_tolerance,
            )
        except AuthenticationError as error:
            reason = "clock" if isinstance(error, TimestampExpired) else "signature"
            node.emit(RequestRefused(app_id=app.id, reason=reason))
            raise
        if not app.enabled:
            node.emit(RequestRefused(app_id=app.id, reason="disabled"))
            raise ApiError(403, "The app is disabled")
        if route.action is not None and (wait := node.limiter.consume(app, route.action, 1)) > 0:
            node.emit(RequestRefused(app_id=app.id, reason="rate_read"))
            raise rate_limited(wait)
        body = request.body
        if request.encoding:
            body = inflate(body, request.encoding, config.request_bytes)
        return route.endpoint(node, Call(app, target.arguments, query, body, at_once))
