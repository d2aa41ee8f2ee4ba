"""Wrong backends: each row is one mistake, the step of the validation script that shows it, and its hint.

A row's hint is the first one, "check 1", unless the mistake looks like a more frequent one from outside: then
its place is given.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.examples.programs import APP

CREATED = "Event: comment.created"
UPDATED = "Event: comment.updated"
DELETED = "Event: comment.deleted"
AUTHENTICATE = "WebSocket: authenticate"


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """One wrong backend, and what the script must say about it."""

    step: str
    hint: str
    place: int = 1
    #: Of the stand-in: its arguments, and what differs in its environment.
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    #: What differs in the script's environment.
    script: Mapping[str, str] = field(default_factory=dict)


def fault(name: str, step: str, hint: str, place: int = 1, **script: str) -> Wrong:
    return Wrong(step=step, hint=hint, place=place, arguments=("--fault", name), script=script)


def channel(template: str, hint: str, **script: str) -> Wrong:
    return Wrong(step=CREATED, hint=hint, arguments=("--channel", template), script=script)


def refuse(status: int, method: str, path: str, step: str, hint: str) -> Wrong:
    return Wrong(step=step, hint=hint, arguments=("--refuse", str(status), method, path))


def published(hint: str, place: int = 1, *arguments: str, **environment: str) -> Wrong:
    """No event, and nothing from outside says why."""
    return Wrong(step=CREATED, hint=hint, place=place, arguments=arguments, environment=environment)


#: With it the script sees private channels that the backend refuses.
SECRET = {"PUSHER_APP_SECRET": APP["secret"]}
SERVER_ERROR = "look into its log"
NO_CLASS = r"must return new PrivateChannel\('session.1'\)"
WRONG = {
    # The worker and its settings
    "no worker": published("Is a queue worker running", 1, "--without-worker"),
    "stale worker": published("queue:restart", 2, "--fault", "stale-worker"),
    "wrong id": published("PUSHER_APP_ID", 3, PUSHER_APP_ID="9999"),
    "wrong port": published("PUSHER_PORT", 3, PUSHER_PORT="9"),
    "wrong scheme": published("PUSHER_SCHEME", 3, PUSHER_SCHEME="https"),
    "log only in the worker": published("BROADCAST_CONNECTION", 4, "--fault", "silent-worker"),
    "not dispatched at all": published(
        r"broadcast\(new CommentCreated", 5,
        *("--omit", "comment.created", "--omit", "comment.updated", "--omit", "comment.deleted"),
    ),
    # Other settings
    "wrong secret": Wrong(
        step="WebSocket: join the session", hint="PUSHER_APP_SECRET",
        environment={"PUSHER_APP_SECRET": "of-another-app"},
    ),
    "wrong secret, and the script has the right one": Wrong(
        step="WebSocket: join the session", hint="PUSHER_APP_SECRET: the backend signs with another",
        environment={"PUSHER_APP_SECRET": "of-another-app"}, script=SECRET,
    ),
    "the server's secret is another": Wrong(
        step="WebSocket: join the session", hint="PUSHER_APP_SECRET: .* the server has another",
        environment={"PUSHER_APP_SECRET": "rotated"}, script={"PUSHER_APP_SECRET": "rotated"},
    ),
    "wrong key": Wrong(
        step=AUTHENTICATE, hint="PUSHER_APP_KEY must be the same",
        environment={"PUSHER_APP_KEY": "other"},
    ),
    "log, null or no connection": fault(
        "silent-connection", AUTHENTICATE, "BROADCAST_CONNECTION .*must be pusher"
    ),
    "cached config": fault("cached-config", AUTHENTICATE, "php artisan config:clear", 2),
    # The event class
    "no broadcastAs": fault("no-broadcast-as", CREATED, r"broadcastAs\(\).*'comment.created'"),
    "broadcastAs with Echo's dot": fault("dotted-broadcast-as", CREATED, "leading dot"),
    "no toOthers": fault("no-to-others", "No duplicates", r"toOthers\(\)"),
    "no InteractsWithSockets": fault("no-to-others", "No duplicates", "InteractsWithSockets", 2),
    "dispatched twice": fault("dispatched-twice", "No duplicates", "observer"),
    "created is not dispatched": Wrong(
        step=CREATED, arguments=("--omit", "comment.created"),
        hint=r"comment.deleted does arrive.*broadcast\(new CommentCreated",
    ),
    "updated is not dispatched": Wrong(
        step=UPDATED, arguments=("--omit", "comment.updated"),
        hint=r"comment.created does arrive.*broadcast\(new CommentUpdated",
    ),
    "deleted fails in the worker": Wrong(
        step=DELETED, arguments=("--omit", "comment.deleted"),
        hint="ModelNotFoundException", place=2,
    ),
    "CommentUpdated with the name of CommentCreated": fault(
        "copied-broadcast-as", UPDATED, r"broadcastAs\(\) of CommentUpdated .*'comment.updated'"
    ),
    "an observer broadcasts an edit at the creation": fault(
        "observer-saved", "No duplicates", "observer"
    ),
    # What the event carries
    "no broadcastWith": fault("no-broadcast-with", CREATED, r"CommentCreated needs .*broadcastWith"),
    "encoded twice": fault("encoded-twice", CREATED, r"must return an array, without json_encode"),
    "an edit is broadcast before it is saved": fault(
        "old-data", UPDATED, "text of before the edit: broadcast it after the comment is saved"
    ),
    "the id of the route": fault("id-of-the-route", DELETED, r"getKey\(\)"),
    # The channel
    "Channel for PrivateChannel": channel("session.{session}", f"public.*{NO_CLASS}"),
    "PresenceChannel for PrivateChannel": channel(
        "presence-session.{session}", f"PresenceChannel.*{NO_CLASS}"
    ),
    "EncryptedPrivateChannel": Wrong(
        step=CREATED,
        hint=f"EncryptedPrivateChannel.*{NO_CLASS}",
        arguments=("--channel", "private-encrypted-session.{session}"),
        environment={"PUSHER_ENCRYPTION_KEY": base64.b64encode(b"k" * 32).decode()},
    ),
    "the presence channel": channel(
        "presence-online-users", f"presence channel, presence-online-users.*{NO_CLASS}"
    ),
    "private- in the name": channel(
        "private-private-session.{session}", "stands without \"private-\"", **SECRET
    ),
    "the comment's id": channel(
        "session.{comment}", "session.4 .*public.*: 4 is not the session's id, but the comment's"
    ),
    "the comment's id, private": channel(
        "private-session.{comment}", "private-session.4: .* but the comment's", **SECRET
    ),
    "the comment's id, when the backend refuses us there": published(
        "private-.* is added by itself", 6, "--channel", "private-session.{comment}"
    ),
    "the author's id": channel(
        "private-session.{user}", "private-session.2: 2 is not the session's id, but B's user id"
    ),
    "the comment's id, and no comment before": Wrong(
        step=CREATED, hint="session.2: 2 is not the session's id, but .* or the comment's",
        arguments=("--empty", "--channel", "private-session.{comment}"),
    ),
    "another session's id": channel(
        "private-session.2", "private-session.2: 2 is not the session's id, but B's user id"
    ),
    "a next session's id": channel(
        "presence-session.3", f"PresenceChannel.*3 is not the session's id.*{NO_CLASS}", **SECRET
    ),
    "a channel of the comment": channel("presence-comments.{comment}", NO_CLASS, **SECRET),
    "phase one only, and the comment's id": channel(
        "private-session.{comment}", "is not the session's id", ONLY_CREATED="1", **SECRET
    ),
    "another word": channel("comments.{session}", f"comments.1 .*public.*{NO_CLASS}"),
    "no id": channel("session.", "without an id"),
    "the public channel as well": Wrong(
        step="No duplicates", hint="without session.1",
        arguments=("--channel", "private-session.{session},session.{session}"),
    ),
    "the presence channel as well": Wrong(
        step="No duplicates", hint="without presence-online-users",
        arguments=("--channel", "presence-online-users,private-session.{session}"),
    ),
    "another private channel as well": Wrong(
        step="No duplicates", hint="without private-session.2",
        arguments=("--channel", "private-session.{session},private-session.2"),
    ),
    "no broadcastAs and Channel": Wrong(
        step=CREATED, hint="broadcastAs", place=2,
        arguments=("--fault", "no-broadcast-as", "--channel", "session.{session}"),
    ),
    # Authorization
    "no channel route": fault("no-channel-rule", AUTHENTICATE, "rule for session.1"),
    "no auth route": refuse(404, "POST", "/broadcasting/auth", AUTHENTICATE, "withBroadcasting"),
    "403 to everybody": fault("web-guard", AUTHENTICATE, "bearer token is not read"),
    "the presence rule returns true": fault(
        "presence-rule-true", "WebSocket: presence", "must return the member.*not true"
    ),
    "403 to one": Wrong(
        step=AUTHENTICATE, hint="Only B is refused", script={"EMAIL_B": "chloe@example.com"}
    ),
    "401": refuse(401, "POST", "/broadcasting/auth", AUTHENTICATE, "auth:sanctum"),
    "redirect": refuse(302, "POST", "/broadcasting/auth", AUTHENTICATE, "login page"),
    "401 on the user": Wrong(
        step="API: log in", hint="createToken", script={"TOKEN_A": "x", "TOKEN_B": "y"}
    ),
    "CORS without broadcasting/auth": Wrong(
        step="API: CORS", hint="'paths' must cover broadcasting/auth",
        arguments=("--cors-origin", "https://app.test", "--fault", "cors-without-auth"),
        script={"ORIGIN": "https://app.test"},
    ),
    "CORS without X-Socket-ID": Wrong(
        step="API: CORS", hint="'allowed_headers' lacks x-socket-id",
        arguments=("--cors-origin", "https://app.test", "--fault", "cors-without-socket-id"),
        script={"ORIGIN": "https://app.test"},
    ),
    "CORS with a star for all headers": Wrong(
        step="API: CORS", hint="lacks authorization.*must be named",
        arguments=("--cors-origin", "https://app.test", "--fault", "cors-headers-star"),
        script={"ORIGIN": "https://app.test"},
    ),
    "CORS in preflights only": Wrong(
        step="API: CORS", hint="answers to the requests themselves",
        arguments=("--cors-origin", "https://app.test", "--fault", "cors-preflight-only"),
        script={"ORIGIN": "https://app.test"},
    ),
    "CORS for another origin": Wrong(
        step="API: CORS", hint="'allowed_origins' must have https://other.test", place=2,
        arguments=("--cors-origin", "https://app.test"), script={"ORIGIN": "https://other.test"},
    ),
    "no CORS": Wrong(
        step="API: CORS", hint="'paths' must cover", script={"ORIGIN": "https://app.test"}
    ),
    # The backend fails
    "500 of the login": refuse(500, "POST", "/api/login", "API: log in", SERVER_ERROR),
    "500 of the user": refuse(500, "GET", "/api/user", "API: log in", SERVER_ERROR),
    "500 of the authorization": refuse(500, "POST", "/broadcasting", AUTHENTICATE, SERVER_ERROR),
    "500 of a comment": refuse(
        500, "POST", "/api/sessions", "API: create a comment", SERVER_ERROR
    ),
    "500 of an edit": refuse(500, "PUT", "/api/", UPDATED, SERVER_ERROR),
    "500 of a deletion": refuse(500, "DELETE", "/api/", DELETED, SERVER_ERROR),
    "500 of a later authorization": fault(
        "auth-breaks", "WebSocket: join the session", SERVER_ERROR
    ),
    "a backend that hangs": Wrong(
        step="API: create a comment", hint="hangs on this request",
        arguments=("--refuse", "0", "POST", "/api/sessions"), script={"TIMEOUT": "5"},
    ),
    "502": refuse(502, "GET", "/api/user", "API: log in", "does PHP run"),
    "503": refuse(503, "POST", "/api/sessions", "API: create a comment", "maintenance mode"),
    "429": refuse(429, "POST", "/api/sessions", "API: create a comment", "throttle"),
}  # fmt: skip
