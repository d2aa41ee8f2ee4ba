"""The checks of every request to the API, in their fixed order.

They are: route, authentication, app enabled, rate limit, body.

`Api.admit` checks the head alone, so that no stranger's body is kept. `Api.respond` follows when the body is
there. It is synchronous unless the endpoint asks the cluster: a hot route is answered without an ASGI cycle.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from msgspec import Struct

from pusher_server.app import App
from pusher_server.auth.requests import (
    Query,
    authorized_app,
    parse_query,
    verify_body,
    verify_query,
)
from pusher_server.config import HttpSettings
from pusher_server.errors import AuthenticationError, PusherServerError
from pusher_server.http_api.errors import ApiError, BodyUnread, rate_limited
from pusher_server.http_api.parts import ApiParts
from pusher_server.http_api.requests import (
    UNWANTED_BODY_BYTES,
    Call,
    NotAtOnce,
    RequestHead,
    inflate,
)
from pusher_server.http_api.responses import PLAIN, Answer, ApiResponse
from pusher_server.http_api.routes import Routes, Target

Result = TypeVar("Result")

#: Seconds for which an app is taken to be what it was when the head of the request came.
_FRESH_SECONDS = 1.0
_PREFLIGHT = ApiResponse(204, b"", PLAIN)


class Admission(Struct, frozen=True, gc=False):
    """A request whose head is right, so that its body is worth waiting for.

    `query` is in the reading that was signed, `time` is when it was verified (Unix seconds), `limit` how many
    bytes of body are read.
    """

    head: RequestHead
    target: Target
    app: App
    query: Query
    time: float
    limit: int


class Api:
    """The API of one node. `clock` gives Unix seconds; `path_prefix` is `/name` or empty."""

    def __init__(
        self,
        parts: ApiParts,
        config: HttpSettings,
        clock: Callable[[], float],
        path_prefix: str = "",
    ) -> None:
        self._parts = parts
        self._apps = parts.apps
        self._traffic = parts.traffic
        self._config = config
        self._clock = clock
        self._prefix = path_prefix
        self._routes = Routes(path_prefix)

    async def admit(self, head: RequestHead) -> Admission | ApiResponse:
        """Everything that can be said of a request before its body is there.

        An answer is one that needs no body. Raises AuthenticationError, ApiError, ClusterUnavailable.
        """
        if head.method == "OPTIONS" and (response := self._options(head.path)) is not None:
            return response
        if head.length is not None and head.length > self._config.request_bytes:
            raise BodyUnread(self._config.request_bytes)
        target = self._routes.find(head.method, head.path)
        if not isinstance(target, Target):
            return target(self._parts)
        query = parse_query(head.query)
        app = await self._app_of(target, query.key)
        return self._admission(app, head, target, query, self._clock())

    async def answer(self, admission: Admission, body: bytes) -> ApiResponse:
        """The answer to a request with this body. Refusals are raised; `errors.answer_to` translates them."""
        if not 0 <= self._clock() - admission.time < _FRESH_SECONDS:
            admission = await self._current(admission)
        self._count(admission.app, body)
        try:
            answer = self.respond(admission, body)
            response = answer if isinstance(answer, ApiResponse) else await answer
        except PusherServerError as error:
            error.app_id = admission.app.id
            raise
        self._traffic.of(admission.app.id).bytes_sent += len(response.body)
        return response

    def answer_now(self, admission: Admission, body: bytes) -> ApiResponse | None:
        """The answer to a publication that asks for no counts. Refusals are raised.

        None means that it would have to wait, and that nothing has happened yet.
        """
        # Counts may have to be gathered from the cluster after the event is out. The plain word spares
        # checking the body twice; who writes it in another way is found out by the endpoint.
        if b"info" in admission.head.query or b'"info"' in body:
            return None
        if not 0 <= self._clock() - admission.time < _FRESH_SECONDS:
            current = without_waiting(self._current(admission))
            if current is None:
                return None
            admission = current
        try:
            answer = self.respond(admission, body, at_once=True)
        except NotAtOnce:
            return None
        except Exception as error:
            if isinstance(error, PusherServerError):
                error.app_id = admission.app.id
            self._count(admission.app, body)
            raise
        assert isinstance(answer, ApiResponse)  # publications wait only for counts
        self._count(admission.app, body)
        self._traffic.of(admission.app.id).bytes_sent += len(answer.body)
        return answer

    def _options(self, path: bytes) -> ApiResponse | None:
        """The answer to OPTIONS: HAProxy asks so by default whether a server is there, browsers before CORS."""
        if methods := self._routes.unsigned_methods(path):
            return ApiResponse(200, b"", PLAIN, ((b"allow", ", ".join(methods).encode()),))
        return _PREFLIGHT if self._config.cors else None

    async def _app_of(self, target: Target, key: str) -> App:
        """The app of the path, of the key where the path has none. Raises AuthenticationError."""
        apps = self._apps
        if target.app_id is None:
            named = owner = await apps.by_key(key)
        else:
            named = await apps.by_id(target.app_id)
            if named is not None and named.secret_of(key) is not None:
                return named
            owner = await apps.by_key(key)
        try:
            return authorized_app(key, named, owner)
        except AuthenticationError as error:
            error.app_id = "" if owner is None else owner.id
            if error.key and apps.is_secret(error.key):
                error.reason, error.key = "key_is_secret", ""
            raise

    def _admission(
        self, app: App, head: RequestHead, target: Target, query: Query, now: float
    ) -> Admission:
        """Admit a request by its head. Raises AuthenticationError, ApiError."""
        config = self._config
        try:
            query = verify_query(
                app,
                head.method,
                head.path,
                query,
                now,
                prefix=self._prefix,
                tolerance=config.timestamp_tolerance,
            )
        except AuthenticationError as error:
            error.app_id = app.id
            if error.reason == "signature":
                error.guess = self._parts.node.guesses.of_request(
                    app, head.method, head.path, query, self._prefix
                )
            self._traffic.of(app.id).requests += 1
            raise
        limit = config.request_bytes
        if not app.enabled:  # its digest comes first, if that costs us little
            limit = min(limit, UNWANTED_BODY_BYTES)
            if head.length is not None and head.length > limit:
                raise _disabled(app)
        return Admission(head, target, app, query, now, limit)

    async def _current(self, admission: Admission) -> Admission:
        """The same request with the app as it is now: a body may take hours to come.

        Raises what `admit` raises when the app, its key or its secret is another one.
        """
        app = await self._app_of(admission.target, admission.query.key)
        if app is admission.app:
            return admission
        head = admission.head
        query = parse_query(head.query)
        return self._admission(app, head, admission.target, query, admission.time)

    def excess(self, admission: Admission) -> ApiError:
        """The answer to a body beyond `admission.limit`."""
        if not admission.app.enabled:
            return _disabled(admission.app)
        error = BodyUnread(admission.limit)
        error.app_id = admission.app.id
        return error

    def _count(self, app: App, body: bytes) -> None:
        traffic = self._traffic.of(app.id)
        traffic.requests += 1
        traffic.bytes_received += len(body)

    def respond(self, admission: Admission, body: bytes, *, at_once: bool = False) -> Answer:
        """Return the answer to an admitted request, or a coroutine of it where the cluster is asked.

        Raises AuthenticationError, ApiError, ProtocolError; with `at_once` also NotAtOnce.
        """
        app, route, parts = admission.app, admission.target.route, self._parts
        verify_body(admission.query, body)
        if not app.enabled:
            raise _disabled(app)
        if route.action is not None and (wait := parts.limiter.consume(app, route.action, 1)) > 0:
            raise rate_limited(wait, "rate_read")
        if admission.head.encoding:
            body = inflate(body, admission.head.encoding, self._config.request_bytes)
        return route.endpoint(
            parts, Call(app, admission.target.arguments, admission.query, body, at_once)
        )


def _disabled(app: App) -> ApiError:
    error = ApiError(403, "The app is disabled", reason="disabled")
    error.app_id = app.id
    return error


def without_waiting(coroutine: Coroutine[Any, Any, Result]) -> Result | None:
    """The coroutine's result if it has one at once, else None; it is ended then."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        result: Result = finished.value
        return result
    coroutine.close()
    return None
