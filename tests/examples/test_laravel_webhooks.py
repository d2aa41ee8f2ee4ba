"""Webhooks of the real server to the route of `integrations/laravel`, served by `php -S`."""

import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.examples.laravel_application import environment
from tests.examples.laravel_package import PackagedApplication
from tests.examples.programs import APP, START_DEADLINE, program, pusher_environment, stop
from tests.support.serving import RunningServer, free_port
from tests.support.signing import channel_auth, sign
from tests.support.waiting import block_until, eventually
from tests.support.webhook_target import WebhookTarget
from tests.support.wire import QUERY, Address, Wire, connected, message, opened

RECORDER = Path(__file__).with_name("laravel_recorder") / "WebhookRecorder.php"
PATH = "pusher-server/webhooks"
#: Seconds within which a webhook arrives on a busy machine.
DELIVERY_DEADLINE = 30.0


class WebhookApplication(PackagedApplication):
    """An application that records the events of webhooks, on a port of its own."""

    def __init__(self, packaged: Path, directory: Path) -> None:
        super().__init__(packaged, directory)
        self.port = free_port()
        providers = directory / "app" / "Providers"
        (providers / RECORDER.name).write_bytes(RECORDER.read_bytes())
        line = "App\\Providers\\RouteServiceProvider::class,"
        self.replace("config/app.php", line, f"{line} App\\Providers\\WebhookRecorder::class,")

    @property
    def url(self) -> str:
        """Where webhooks go."""
        return f"http://127.0.0.1:{self.port}/{PATH}"

    @property
    def events(self) -> list[dict[str, Any]]:
        """The Laravel events that were dispatched."""
        path = self.directory / "storage" / "webhooks.jsonl"
        text = path.read_text("utf-8") if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def of_channel(self, channel: str) -> list[dict[str, Any]]:
        """Those of one channel."""
        return [event for event in self.events if event["channel"] == channel]

    def fail_once(self, channel: str) -> None:
        """Let the listener of the next event of this channel throw."""
        (self.directory / "storage" / "fails-once").write_text(channel, "utf-8")

    def post(self, body: bytes, **headers: str) -> httpx.Response:
        """Send a webhook by hand; underscores in names of headers are hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", **sent}
        return httpx.post(self.url, content=body, headers=sent, trust_env=False)

    def is_ready(self) -> bool:
        """Whether the route answers: it refuses what is not signed."""
        return self.post(b"{}").status_code == 401


@pytest.fixture
def application(packaged: Path, tmp_path: Path) -> Iterator[WebhookApplication]:
    """The application, being served."""
    running = WebhookApplication(packaged, tmp_path / "application")
    keys = json.dumps({"key-of-before": "secret-of-before"})
    lines = f"PUSHER_SERVER_WEBHOOK_PATH={PATH}\nPUSHER_SERVER_WEBHOOK_KEYS='{keys}'\n"
    running.set_environment(pusher_environment(1), lines)
    address = f"127.0.0.1:{running.port}"
    command = [program("php", "php-cli"), "-S", address, "-t", "public", "public/index.php"]
    log = running.directory / "web.log"
    with log.open("wb") as output:
        web = subprocess.Popen(
            command, cwd=running.directory, env=environment(), stdout=output, stderr=output
        )
    try:
        block_until(
            running.is_ready,
            START_DEADLINE,
            show=lambda: log.read_text("utf-8", "replace"),
            not_yet=(httpx.TransportError,),
        )
        yield running
    finally:
        stop(web)


@asynccontextmanager
async def announcing(directory: Path, *webhooks: dict[str, Any]) -> AsyncIterator[RunningServer]:
    """A server whose app has these webhooks, and announces leaves at once."""
    settings = {
        "apps": [
            {
                **APP,
                "client_events": "members",
                "subscription_count": True,
                "webhooks": list(webhooks),
            }
        ],
        "cluster": {"undo_window": 0},
        "webhooks": {"retry_first": 0.1, "outbox": str(directory / "outbox.sqlite3")},
    }
    async with RunningServer(directory, settings) as server:
        yield server


async def join_presence(wire: Wire, socket_id: str, channel: str, user_id: str) -> None:
    """Join a presence channel as this user."""
    member = json.dumps({"user_id": user_id})
    auth = channel_auth(APP["key"], APP["secret"], socket_id, channel, member)
    await wire.join(channel, auth=auth, channel_data=member)


async def test_all_seven_events_are_dispatched_once(
    application: WebhookApplication, tmp_path: Path
) -> None:
    """What the real server sends, with the fields of each; a listener that fails once gets its event again."""
    room = "presence-room"
    async with announcing(tmp_path, {"url": application.url}) as server:
        application.fail_once(room)
        async with AsyncExitStack() as stack:
            address = Address(port=server.port)
            wire = await stack.enter_async_context(opened(address))
            await wire.handshake(f"/app/{APP['key']}{QUERY}")
            socket_id = await wire.established()
            await join_presence(wire, socket_id, room, "10")
            await wire.send(message("client-hello", channel=room, data={"text": "héllo"}))
            await wire.join("cache-news")
            await eventually(
                lambda: (
                    {event["class"] for event in application.events}
                    >= {
                        "ChannelOccupied",
                        "MemberAdded",
                        "ClientEvent",
                        "CacheMiss",
                        "SubscriptionCount",
                    }
                ),
                DELIVERY_DEADLINE,
                show=lambda: application.events,
            )
        await eventually(
            lambda: (
                len([1 for event in application.events if event["class"] == "ChannelVacated"]) == 2
            ),
            DELIVERY_DEADLINE,
            show=lambda: application.events,
        )
    events = application.events
    assert len({event["id"] for event in events}) == len(events), "each once"
    assert all(event["key"] == APP["key"] and event["is_webhook"] for event in events)
    in_room = [event["class"] for event in application.of_channel(room)]
    assert in_room == [
        "ChannelOccupied",
        "MemberAdded",
        "ClientEvent",
        "MemberRemoved",
        "ChannelVacated",
    ]
    rows = {event["class"]: event for event in events}
    assert rows["MemberAdded"]["userId"] == rows["MemberRemoved"]["userId"] == "10"
    whisper = rows["ClientEvent"]
    assert (whisper["event"], whisper["socketId"], whisper["userId"]) == (
        "client-hello",
        socket_id,
        "10",
    )
    assert json.loads(whisper["data"]) == {"text": "héllo"}
    assert rows["CacheMiss"]["channel"] == "cache-news"
    assert rows["SubscriptionCount"]["count"] in (0, 1)


async def test_repeats_are_not_dispatched(application: WebhookApplication, tmp_path: Path) -> None:
    """The same bytes, the same event in another body, and the same bytes under an id that nothing signs."""
    async with WebhookTarget() as target:
        webhooks = [{"url": application.url}, {"url": target.url}]
        events = {"event_types": ["channel_occupied"]}
        wanted = [{**webhook, **events} for webhook in webhooks]
        async with (
            announcing(tmp_path, *wanted) as server,
            connected(Address(port=server.port), APP["key"]) as wire,
        ):
            await wire.join("room")
            await eventually(lambda: application.events, DELIVERY_DEADLINE)
            (request,) = await target.heard(1)
    headers = {
        name: str(request.header(name))
        for name in ("X-Pusher-Key", "X-Pusher-Signature", "X-Pusher-Server-Event-Ids")
    }
    others = [headers, {**headers, "X-Pusher-Server-Event-Ids": "another"}]
    without = {name: value for name, value in headers.items() if not name.endswith("Ids")}
    for sent in [*others, without, headers]:
        assert application.post(request.body, **sent).status_code == 204
    (event,) = application.events
    assert event["id"] == headers["X-Pusher-Server-Event-Ids"]
    assert event["channel"] == "room"


def test_what_is_not_the_servers_is_refused(application: WebhookApplication) -> None:
    """The answer names the cause, because the server's delivery log shows it."""
    now = int(time.time() * 1000)

    def body(**changes: Any) -> bytes:
        event = {"name": "channel_occupied", "channel": "x"}
        return json.dumps({"time_ms": now, "events": [event], **changes}).encode()

    def signed(text: bytes, key: str = APP["key"], secret: str = APP["secret"]) -> dict[str, str]:
        return {"X-Pusher-Key": key, "X-Pusher-Signature": sign(secret, text)}

    right = body()
    rows: list[tuple[bytes, dict[str, str], int, str]] = [
        (right, {}, 401, "X-Pusher-Key or X-Pusher-Signature is missing"),
        (right, signed(right, key="other"), 401, "Unknown X-Pusher-Key"),
        (right, signed(right, secret="other"), 401, "Wrong X-Pusher-Signature"),
        (right + b" ", signed(right), 401, "Wrong X-Pusher-Signature"),
        (
            right,
            {**signed(right), "X-Pusher-Signature": sign(APP["secret"], right).upper()},
            401,
            "Wrong",
        ),
    ]
    for text, status, cause in (
        (b"[]", 400, "The body is no webhook"),
        (b"{", 400, "The body is no webhook"),
        (body(events=["x"]), 400, "no JSON object"),
        (body(events=[{"name": "member_added", "channel": "x"}]), 400, "no text user_id"),
        (body(time_ms=now - 400_000), 401, "s old"),
        (body(time_ms=now + 400_000), 401, "s old"),
        (b" " * 4_194_305, 413, "more than 4194304 bytes"),
    ):
        rows.append((text, signed(text), status, cause))
    for text, headers, status, cause in rows:
        answer = application.post(text, **headers)
        assert (answer.status_code, cause in answer.text) == (status, True), answer.text
        assert APP["secret"] not in answer.text
    assert application.events == []
    old = signed(right, "key-of-before", "secret-of-before")
    assert application.post(right, **old).status_code == 204
    assert [event["key"] for event in application.events] == ["key-of-before"]
    unknown = body(events=[{"name": "of_a_newer_server"}])
    assert application.post(unknown, **signed(unknown)).status_code == 204
    assert len(application.events) == 1


def test_without_a_path_there_is_no_route(application: WebhookApplication) -> None:
    application.set_environment(pusher_environment(1))
    assert application.post(b"{}").status_code == 404
