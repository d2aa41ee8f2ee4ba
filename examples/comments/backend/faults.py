"""Faults on purpose: the stand-in behaves like a backend that was set up wrongly in one way.

The validation script is tried against each of them (`tests/examples/test_wrong_backends.py`).
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from broadcast_queue import BroadcastJob, encode_as_php
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

#: Name of a fault: the mistake in a Laravel application that it copies.
FAULTS: Mapping[str, str] = {
    "stale-worker": "the worker still signs with an old PUSHER_APP_SECRET",
    "silent-worker": "only the worker still has BROADCAST_CONNECTION=log",
    "silent-connection": "BROADCAST_CONNECTION is log, null or unset: nothing is signed or sent",
    "cached-config": "php artisan config:cache holds older values than the environment",
    "no-broadcast-as": "the event class has no broadcastAs()",
    "dotted-broadcast-as": "broadcastAs() returns the name with Echo's leading dot",
    "copied-broadcast-as": "CommentUpdated has the broadcastAs() of CommentCreated",
    "no-broadcast-with": "the event class has no broadcastWith(): its public properties are sent",
    "encoded-twice": "broadcastWith() returns JSON, which is encoded once more",
    "old-data": "the controller broadcasts an edit before it saves it",
    "observer-saved": "an observer's saved() broadcasts CommentUpdated: at the creation, too",
    "id-of-the-route": "CommentDeleted takes its id from the route, where it is text",
    "no-to-others": "no toOthers(), or no InteractsWithSockets: the author gets the event, too",
    "dispatched-twice": "controller and observer both broadcast",
    "presence-rule-true": "the rule of the presence channel returns true in place of the member",
    "no-channel-rule": "routes/channels.php has no rule for the session's channel",
    "web-guard": "/broadcasting/auth is in the web group, which reads no bearer token",
    "auth-breaks": "/broadcasting/auth answers both users once, and 500 from then on",
    "cors-without-auth": "config/cors.php: paths lacks broadcasting/auth",
    "cors-without-socket-id": "config/cors.php: allowed_headers lacks X-Socket-ID",
    "cors-preflight-only": "a proxy adds CORS headers to preflights, not to the other answers",
    "cors-headers-star": "a proxy answers preflights with a literal * for the headers",
}
#: Events that a controller can forget to broadcast.
EVENTS = ("comment.created", "comment.updated", "comment.deleted")
OLD_SECRET = "of-before-the-last-deployment"
#: Template of the channel of events: the session's private one.
RIGHT_CHANNEL = "private-session.{session}"


class Refusal(NamedTuple):
    """A request that gets another status than it should: method and beginning of the path.

    Status 0: it gets no answer at all.
    """

    status: int
    method: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Faults:
    """All that is wrong on purpose; by default nothing."""

    names: frozenset[str] = field(default_factory=frozenset)
    #: Template of the channel of events, with {session}, {comment} and {user}, the author's id.
    channel: str = RIGHT_CHANNEL
    #: Events that the controller does not broadcast.
    omitted: frozenset[str] = field(default_factory=frozenset)
    refusals: tuple[Refusal, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def jobs(
        self, event: str, data: dict[str, Any], author: int, socket_id: str | None
    ) -> list[BroadcastJob]:
        """The jobs that this backend queues for an event: one, if nothing is wrong with it."""
        if event in self.omitted or "silent-connection" in self:
            return []
        names = {"session": data["session_id"], "comment": data["id"], "user": author}
        channels = [template.format(**names) for template in self.channel.split(",")]
        job = BroadcastJob(
            self._event_name(event),
            channels,
            self._data(event, data),
            None if "no-to-others" in self else socket_id,
        )
        if "dispatched-twice" in self:
            return [job, job]
        if "observer-saved" in self and event == "comment.created":
            return [job, job._replace(event="comment.updated")]
        return [job]

    def _data(self, event: str, data: dict[str, Any]) -> dict[str, Any] | str:
        if "no-broadcast-with" in self:
            return {"sessionId": data["session_id"], "comment": data}
        if "encoded-twice" in self:
            return encode_as_php(data)
        if "id-of-the-route" in self and event == "comment.deleted":
            return {**data, "id": str(data["id"])}
        return data

    def _event_name(self, event: str) -> str:
        if "no-broadcast-as" in self:
            return "App\\Events\\" + event.title().replace(".", "")
        if "copied-broadcast-as" in self and event == "comment.updated":
            return "comment.created"
        return f".{event}" if "dotted-broadcast-as" in self else event


class RefusingMiddleware:
    """Answers some requests with a status that they should not get, as Laravel words it."""

    def __init__(self, app: ASGIApp, refusals: tuple[Refusal, ...]) -> None:
        self._app = app
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal_of(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        if refusal.status == 0:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        message = "Server Error" if refusal.status >= 500 else "Refused on purpose."
        headers = {"Location": "/login"} if 300 <= refusal.status < 400 else None
        answer = JSONResponse({"message": message}, refusal.status, headers)
        await answer(scope, receive, send)

    def _refusal_of(self, scope: Scope) -> Refusal | None:
        for refusal in self._refusals:
            if scope["method"] == refusal.method and scope["path"].startswith(refusal.path):
                return refusal
        return None


def add_fault_options(parser: argparse.ArgumentParser) -> None:
    """The command line's part of this module."""
    group = parser.add_argument_group(
        "Faults on purpose", "to see what the validation script says about a wrong backend"
    )
    group.add_argument(
        "--fault",
        action="append",
        default=[],
        choices=FAULTS,
        metavar="NAME",
        help="; ".join(f"{name}: {text}" for name, text in FAULTS.items()),
    )
    group.add_argument(
        "--channel",
        default=RIGHT_CHANNEL,
        metavar="TEMPLATE",
        help="channels of the events, separated by commas; {session}, {comment} and {user} are"
        " filled in (default: %(default)s)",
    )
    group.add_argument(
        "--omit",
        action="append",
        default=[],
        choices=EVENTS,
        metavar="EVENT",
        help="an event that the controller does not broadcast",
    )
    group.add_argument(
        "--refuse",
        action="append",
        default=[],
        nargs=3,
        metavar=("STATUS", "METHOD", "PATH"),
        help="answer requests to paths that begin so with this status; 0: not at all",
    )


def read_faults(options: argparse.Namespace) -> Faults:
    """The faults of a command line that `add_fault_options` has defined."""
    return Faults(
        names=frozenset(options.fault),
        channel=options.channel,
        omitted=frozenset(options.omit),
        refusals=tuple(
            Refusal(int(status), method, path) for status, method, path in options.refuse
        ),
    )
