"""The HTTP side of the stand-in: REST comments, broadcasting authorization, the web page.

Paths, status codes and bodies are those of a Laravel API with Sanctum tokens, so that the page
and the validation script cannot tell the difference.
"""

import functools
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from broadcast_queue import BroadcastQueue
from comment_store import DEMO_PASSWORD, DEMO_USERS, CommentStore, Resource
from cross_origin import cross_origin
from faults import RefusingMiddleware
from settings import EXAMPLE, Settings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

WEB = EXAMPLE / "web"
#: Served path -> file in node_modules: the browser builds that the npm packages carry.
LIBRARIES = {
    "pusher.js": Path("pusher-js/dist/web/pusher.min.js"),
    "echo.js": Path("laravel-echo/dist/echo.js"),
}
CONTENT_LENGTH = 2_000
CHANNEL_CLASS = re.compile(r"private-encrypted-|private-|presence-")
SESSION_NAME = re.compile(r"session\.([0-9]{1,9})")
PRESENCE_NAME = "online-users"

Endpoint = Callable[[Request], Awaitable[Response]]


class CommentsApi:
    """The endpoints. Each answers before its broadcast has left the queue."""

    def __init__(
        self, settings: Settings, store: CommentStore, jobs: BroadcastQueue, client: Any
    ) -> None:
        self._settings = settings
        self._store = store
        self._jobs = jobs
        self._client = client
        self._authorizations = 0

    def application(self) -> Starlette:
        one_comment = "/api/comments/{comment:int}"
        return Starlette(
            routes=[
                Route("/api/login", self.log_in, methods=["POST"]),
                Route("/api/user", self.show_user),
                Route("/api/sessions/{session:int}", self.show_session),
                Route("/api/sessions/{session:int}/comments", self.list_comments),
                Route("/api/sessions/{session:int}/comments", self.create, methods=["POST"]),
                Route(one_comment, self.update, methods=["PUT", "PATCH"]),
                Route(one_comment, self.delete, methods=["DELETE"]),
                Route("/broadcasting/auth", self.authorize_channel, methods=["POST"]),
                Route("/broadcasting/user-auth", self.authenticate_user, methods=["POST"]),
                Route("/config.json", self.show_config),
                Route("/lib/{name}", self.library),
                Route("/duo", functools.partial(_page, "duo.html")),
                Mount("/", StaticFiles(directory=WEB, html=True)),
            ],
            middleware=[
                *cross_origin(self._settings),
                Middleware(RefusingMiddleware, self._settings.faults.refusals),
            ],
            exception_handlers={HTTPException: _as_laravel},  # type: ignore[dict-item]  # narrower
        )

    async def log_in(self, request: Request) -> Response:
        body = await _json(request)
        found = self._store.log_in(str(body.get("email")), str(body.get("password")))
        if found is None:
            return _invalid("email", "These credentials do not match our records.")
        token, user = found
        return JSONResponse({"token": token, "user": user})

    async def show_user(self, request: Request) -> Response:
        return JSONResponse({"data": self._user(request)})

    async def show_session(self, request: Request) -> Response:
        user = self._user(request)
        session_id = self._session_of(request, user)
        return JSONResponse({"data": self._store.session(session_id)})

    async def list_comments(self, request: Request) -> Response:
        user = self._user(request)
        session_id = self._session_of(request, user)
        return JSONResponse({"data": self._store.comments(session_id)})

    async def create(self, request: Request) -> Response:
        user = self._user(request)
        session_id = self._session_of(request, user)
        content = _content(await _json(request))
        if content is None:
            return _invalid("content", _CONTENT_RULE)
        comment = self._store.create(session_id, user["id"], content)
        self._broadcast(request, "comment.created", comment, user["id"])
        return JSONResponse({"data": comment}, status_code=201)

    async def update(self, request: Request) -> Response:
        comment = self._own_comment(request)
        content = _content(await _json(request))
        if content is None:
            return _invalid("content", _CONTENT_RULE)
        edited = self._store.update(comment["id"], content)
        sent = comment if "old-data" in self._settings.faults else edited
        self._broadcast(request, "comment.updated", sent, comment["user"]["id"])
        return JSONResponse({"data": edited})

    async def delete(self, request: Request) -> Response:
        comment = self._own_comment(request)
        self._store.delete(comment["id"])
        gone = {"id": comment["id"], "session_id": comment["session_id"]}
        self._broadcast(request, "comment.deleted", gone, comment["user"]["id"])
        return Response(status_code=204)

    async def authorize_channel(self, request: Request) -> Response:
        """The answer that `routes/channels.php` leads to; 403 for everything it does not know."""
        faults = self._settings.faults
        if "web-guard" in faults:
            raise HTTPException(403, "")  # to nobody: the session's cookie is missing
        user = self._user(request)
        self._authorizations += 1
        if "auth-breaks" in faults and self._authorizations > 4:  # two users, two channels
            raise HTTPException(500, "Server Error")
        fields = await _form(request)
        channel = fields.get("channel_name", "")
        if "silent-connection" in faults:
            return Response(b"")  # what LogBroadcaster and NullBroadcaster answer
        verdict = self._rule(user, CHANNEL_CLASS.sub("", channel, count=1))
        if not verdict or not CHANNEL_CLASS.match(channel):
            raise HTTPException(403, "This action is unauthorized.")
        member = None
        if channel.startswith("presence-"):
            shown = True if "presence-rule-true" in faults else verdict
            member = {"user_id": str(user["id"]), "user_info": shown}
        return self._signed(
            lambda: self._client.authenticate(channel, fields.get("socket_id", ""), member)
        )

    async def authenticate_user(self, request: Request) -> Response:
        user = self._user(request)
        fields = await _form(request)
        data = {"id": str(user["id"]), "user_info": {"name": user["name"]}}
        return self._signed(
            lambda: self._client.authenticate_user(fields.get("socket_id", ""), data)
        )

    async def show_config(self, request: Request) -> Response:
        """What a mobile app is built with: the public half of the credentials, and the users."""
        settings = self._settings
        users = [
            {
                "name": name,
                "id": user_id,
                "email": email,
                "login": email.partition("@")[0],
                "session": self._store.first_session(user_id),
            }
            for user_id, name, email in DEMO_USERS
        ]
        return JSONResponse(
            {
                "key": settings.key,
                "host": settings.websocket_host,
                "port": settings.websocket_port,
                "scheme": settings.websocket_scheme,
                "users": users,
                "password": DEMO_PASSWORD,
            }
        )

    async def library(self, request: Request) -> Response:
        path = LIBRARIES.get(request.path_params["name"])
        if path is None or not (self._settings.libraries / path).is_file():
            raise HTTPException(404, "Not installed: run npm install in examples/comments.")
        return FileResponse(self._settings.libraries / path, media_type="text/javascript")

    def _user(self, request: Request) -> Resource:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        user = self._store.user_of(token.strip()) if scheme.lower() == "bearer" else None
        if user is None:
            raise HTTPException(401, "Unauthenticated.")
        return user

    def _session_of(self, request: Request, user: Resource) -> int:
        session_id: int = request.path_params["session"]
        if self._store.session(session_id) is None:
            raise HTTPException(404, "Not found.")
        if not self._store.takes_part(user["id"], session_id):
            raise HTTPException(403, "This action is unauthorized.")
        return session_id

    def _own_comment(self, request: Request) -> Resource:
        user = self._user(request)
        comment = self._store.comment(request.path_params["comment"])
        if comment is None:
            raise HTTPException(404, "Not found.")
        if comment["user"]["id"] != user["id"]:
            raise HTTPException(403, "This action is unauthorized.")
        return comment

    def _rule(self, user: Resource, name: str) -> Resource | bool:
        """The verdict of the rule for a name: as in Laravel one rule serves all classes of channel."""
        if name == PRESENCE_NAME:
            return {"id": user["id"], "name": user["name"]}
        match = SESSION_NAME.fullmatch(name)
        if match is None or "no-channel-rule" in self._settings.faults:
            return False
        return self._store.takes_part(user["id"], int(match[1]))

    def _signed(self, sign: Callable[[], Any]) -> Response:
        try:
            answer = sign()
        except ValueError as error:  # a malformed socket_id
            raise HTTPException(403, str(error)) from None
        if "shared_secret" in answer:  # the library gives bytes
            answer["shared_secret"] = answer["shared_secret"].decode()
        return JSONResponse(answer)

    def _broadcast(self, request: Request, event: str, data: Resource, author: int) -> None:
        # The header is what `toOthers()` reads: this one socket is left out, not the user.
        socket_id = request.headers.get("X-Socket-ID") or None
        for job in self._settings.faults.jobs(event, data, author, socket_id):
            self._jobs.push(job)


_CONTENT_RULE = f"The content must be text of 1 to {CONTENT_LENGTH} characters."


def _content(body: dict[str, Any]) -> str | None:
    content = body.get("content")
    if not isinstance(content, str) or not 0 < len(content.strip()) <= CONTENT_LENGTH:
        return None
    return content.strip()


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body is not JSON.") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "The body is not a JSON object.")
    return body


async def _form(request: Request) -> dict[str, str]:
    """The fields of an authorization request: pusher-js sends a form, some clients JSON."""
    if request.headers.get("Content-Type", "").startswith("application/json"):
        return {key: str(value) for key, value in (await _json(request)).items()}
    return dict(parse_qsl((await request.body()).decode("utf-8", "replace")))


def _invalid(field: str, message: str) -> Response:
    return JSONResponse({"message": message, "errors": {field: [message]}}, status_code=422)


async def _as_laravel(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"message": error.detail}, status_code=error.status_code)


async def _page(name: str, request: Request) -> Response:
    return FileResponse(WEB / name)
