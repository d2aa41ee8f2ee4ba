"""CORS as Laravel's `config/cors.php` sets it: paths, origins and headers of a page elsewhere."""

from settings import Settings
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: `paths` of a backend whose apps run in a browser.
PATHS = ("/api/", "/broadcasting/")
#: `allowed_headers`: what Echo, pusher-js and the page send.
HEADERS = ("Authorization", "Content-Type", "X-Requested-With", "X-Socket-ID")


class StarMiddleware:
    """A proxy that lists no header in its answers to preflights, but "*"."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "Access-Control-Allow-Headers" in headers:
                    headers["Access-Control-Allow-Headers"] = "*"
            await send(message)

        await self._app(scope, receive, sent)


class CrossOriginMiddleware:
    """CORS for some paths; the others get no CORS header at all."""

    def __init__(
        self,
        app: ASGIApp,
        origin: str,
        paths: tuple[str, ...],
        headers: tuple[str, ...],
        *,
        preflight_only: bool,
    ) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app, allow_origins=[origin], allow_methods=["*"], allow_headers=headers
        )
        self._paths = paths
        self._preflight_only = preflight_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        covered = scope["type"] == "http" and scope["path"].startswith(self._paths)
        if covered and self._preflight_only:
            covered = scope["method"] == "OPTIONS"
        await (self._open if covered else self._app)(scope, receive, send)


def cross_origin(settings: Settings) -> list[Middleware]:
    """The middleware that the settings call for; none without an origin."""
    if not settings.cors_origin:
        return []
    lacks_auth = "cors-without-auth" in settings.faults
    lacks_socket_id = "cors-without-socket-id" in settings.faults
    star = [Middleware(StarMiddleware)] if "cors-headers-star" in settings.faults else []
    return [
        *star,
        Middleware(
            CrossOriginMiddleware,
            settings.cors_origin,
            PATHS[:1] if lacks_auth else PATHS,
            HEADERS[:-1] if lacks_socket_id else HEADERS,
            preflight_only="cors-preflight-only" in settings.faults,
        ),
    ]
