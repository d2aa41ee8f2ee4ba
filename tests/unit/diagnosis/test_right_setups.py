"""Set-ups in which all is well, though an event has no recipient or a connection ends: nothing is said."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from pusher_server.app import App, AppKey
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import channels_topic
from pusher_server.protocol.errors import ConnectionRejected
from tests.support.signing import channel_auth
from tests.unit.diagnosis.site import (
    APP,
    KEY,
    KEY_2,
    SECRET_2,
    Site,
    auth_of,
    member,
    sign_in_of,
)
from tests.unit.http_api.backend import app_with

Scenario = Callable[[Site], Awaitable[None]]

CHANNELS = [
    "session.42",
    "private-session.42",
    "presence-session.42",
    "private-encrypted-session.42",
    "cache-session.42",
    "private-cache-session.42",
    "presence-cache-session.42",
    "private-encrypted-cache-session.42",
]


@pytest.mark.parametrize("channel", CHANNELS)
async def test_an_event_that_arrives(channel: str) -> None:
    """Whatever else is held, and however the names look alike."""
    site = Site()
    await site.waiting(*CHANNELS)
    await site.publish(channel)
    assert await site.findings() == []


#: The channel of the event, which is vacant, and another one that is not.
OTHERS = [
    ("private-session.42", "private-session.43"),
    ("private-session.42", "private-session.4"),
    ("private-session.42", "session.43"),
    ("private-App.Models.User.7", "private-App.Models.User.8"),
    ("private-App.Models.User.7", "App.Models.User.8"),
    ("orders", "order"),
    ("private-orders", "private-orders-archive"),
    ("private-orders.1", "private-orders.1.items"),
    ("presence-room.1", "presence-room.11"),
    ("a.b.c", "a.bc"),
    ("private-", "private"),
    ("privateers", "eers"),
    ("my-private-x", "private-x"),
    ("cache-1", "cache-2"),
]


@pytest.mark.parametrize(("published", "held"), OTHERS)
async def test_another_id_is_another_channel(published: str, held: str) -> None:
    site = Site()
    await site.waiting(held, times=3)
    await site.publish(published)
    assert await site.findings() == []
    assert [row.channel for row in (await site.explain()).missed] == [published]


EVENTS = [
    "comment.created",
    "App\\Events\\CommentCreated",
    "App\\Events\\Chat\\MessageSent",
    "Modules\\Blog\\Events\\Created",
    "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated",
    "client-typing",
    "Événement créé",
    "a..b",
    "created.",
    "e",
]


@pytest.mark.parametrize("name", EVENTS)
async def test_a_name_that_a_listener_may_have(name: str) -> None:
    site = Site()
    await site.waiting("private-session.42")
    await site.publish("private-session.42", name)
    assert await site.findings() == []


async def nobody_is_there(site: Site) -> None:
    await site.publish("session.42")


async def a_user_who_is_offline(site: Site) -> None:
    await site.waiting("private-App.Models.User.8")
    await site.publish("private-App.Models.User.7", EVENTS[4])


async def an_event_to_a_user_who_is_not_signed_in(site: Site) -> None:
    client = site.connect()
    await site.sign_in(client, sign_in_of(client.socket_id, '{"id":"8"}'), '{"id":"8"}')
    await site.publish("#server-to-user-7")


async def to_others_in_a_room_of_one(site: Site) -> None:
    author = await site.waiting("private-session.42", "session.42")
    await site.publish("private-session.42", socket_id=author.socket_id)


async def to_others_by_an_author_who_then_leaves(site: Site) -> None:
    author = await site.waiting("private-session.42")
    await site.waiting("session.42")
    await site.publish("private-session.42", socket_id=author.socket_id)
    await site.wait(1.0)
    site.leave(author)
    await site.wait(10.0)


async def a_cache_channel_without_readers(site: Site) -> None:
    await site.publish("cache-scores")


async def a_cache_channel_that_is_read_later(site: Site) -> None:
    await site.publish("private-cache-scores")
    await site.waiting("private-cache-scores")


async def an_event_to_the_public_and_the_private_channel(site: Site) -> None:
    await site.waiting("private-orders.1")
    await site.publish(["orders.1", "private-orders.1"])


async def a_channel_that_was_left_a_moment_ago(site: Site) -> None:
    reader = await site.waiting("orders.1")
    await site.waiting("private-orders.1")
    site.leave(reader)
    await site.wait(5.0)
    await site.publish("orders.1")


async def a_subscriber_on_another_node(site: Site) -> None:
    await site.waiting("private-session.42")
    lookup = site.fixture.roster.lookup

    async def with_the_other_node(topic: object, names: object) -> object:
        rows = dict(await lookup(topic, names))  # type: ignore[arg-type]  # passed on
        return {**rows, "session.42": {"another": b"1"}}

    site.fixture.roster.lookup = with_the_other_node  # type: ignore[method-assign, assignment]
    await site.publish("session.42")
    await site.wait(1.0)


async def a_channel_that_is_only_declared_to_be_held(site: Site) -> None:
    """Its last subscriber is gone, and the store does not know yet."""
    site.fixture.roster.declare(channels_topic("3"), "private-session.42", b"0")
    await site.publish("session.42")


async def the_other_name_belongs_to_another_app(site: Site) -> None:
    other = App(id="5", keys=(AppKey(key="other", secret="s"),))
    client = site.connect(other)
    channel = "private-session.42"
    auth = channel_auth("other", "s", client.socket_id, channel)
    await site.subscribe(client, channel, auth)
    site.connect()
    await site.publish("session.42")


async def a_tenant_whose_clients_sleep(site: Site) -> None:
    other = App(id="5", keys=(AppKey(key="other", secret="s"),))
    client = site.connect(other)
    await site.subscribe(client, "news", "")
    site.fixture.node.hub.traffic.of("5").published += 1
    await site.publish("news")
    await site.wait(1.0)


async def a_subscription_with_the_second_key(site: Site) -> None:
    client = site.connect()
    auth = channel_auth(KEY_2, SECRET_2, client.socket_id, "private-a")
    await site.subscribe(client, "private-a", auth)


async def a_subscription_that_is_repeated(site: Site) -> None:
    client = await site.waiting("private-a")
    await site.subscribe(client, "private-a", auth_of(client.socket_id, "private-a"))


async def a_private_channel_with_data(site: Site) -> None:
    client = site.connect()
    auth = auth_of(client.socket_id, "private-a", member())
    await site.subscribe(client, "private-a", auth, member())


async def a_presence_channel_after_a_sign_in(site: Site) -> None:
    client = site.connect()
    await site.sign_in(client, sign_in_of(client.socket_id, '{"id":"7"}'), '{"id":"7"}')
    await site.subscribe(client, "presence-a", auth_of(client.socket_id, "presence-a"))


async def a_whisper(site: Site) -> None:
    client = await site.waiting("private-a")
    await site.waiting("a")
    site.whisper(client, "private-a")


async def requests_for_what_is_there(site: Site) -> None:
    for path in ("/channels", "/channels/a", "/channels/presence-a/users"):
        assert (await site.backend.get(path)).status_code == 200


async def a_batch(site: Site) -> None:
    await site.waiting("a")
    body = {"batch": [{"channel": "a", "name": f"e{n}", "data": "x"} for n in range(3)]}
    assert (await site.backend.post("/batch_events", body)).status_code == 200


async def a_scanner(site: Site) -> None:
    for path in ("/", "/wp-login.php", "/.env"):
        await site.backend.send("GET", path)


async def a_probe_of_a_balancer(site: Site) -> None:
    for path in ("/up", "/ready"):
        assert (await site.backend.send("GET", path)).status_code == 200


async def clients_of_every_protocol(site: Site) -> None:
    for query in ("?protocol=5", "?protocol=6", "?protocol=7&client=js&version=8.4.0", ""):
        await site.upgrade(f"/app/{KEY}{query}")


async def a_server_that_stops(site: Site) -> None:
    site.node.draining = True
    await site.upgrade(f"/app/{KEY}?protocol=7")


async def a_store_that_is_away(site: Site) -> None:
    site.node.sent_away("3", ClusterUnavailable("the store is away"))


async def a_store_that_is_away_while_somebody_asks(site: Site) -> None:
    await site.waiting("private-session.42")
    site.fixture.lose_cluster()
    await site.publish("session.42")


async def a_phone_that_went_away(site: Site) -> None:
    site.node.turned_away("3", "192.0.2.1", ConnectionRejected(4201, "Pong reply not received"))


async def a_visitor_who_goes_from_page_to_page(site: Site) -> None:
    for number in range(12):
        site.clock.advance(6.0)
        site.ended(f"7.{number}", code=1001 if number % 2 else 1005, lived=5.0)


async def a_reader_whose_network_is_bad(site: Site) -> None:
    for number, lived in enumerate((5.0, 21.0, 9.0, 28.0, 3.0, 17.0, 12.0)):
        site.clock.advance(lived + 1.0)
        site.ended(f"7.{number}", code=1006, lived=lived, idle=lived / 2)


async def an_office_behind_one_address(site: Site) -> None:
    for number in range(20):
        site.clock.advance(1.0)
        site.ended(f"7.{number}", code=1006, lived=20.0, idle=2.0)


async def a_deploy(site: Site) -> None:
    for number in range(50):
        site.ended(f"7.{number}", code=4200, lived=25.0, address=f"192.0.2.{number}")


async def one_client_after_two_deploys(site: Site) -> None:
    for number in range(2):
        site.clock.advance(20.0)
        site.ended(f"7.{number}", code=4200, lived=19.0)


async def laptops_that_are_closed(site: Site) -> None:
    for number in range(20):
        site.ended(f"7.{number}", code=1006, lived=600.0, idle=9.0 + 5.3 * number)


async def connections_that_drop_while_they_are_busy(site: Site) -> None:
    for number in range(20):
        site.ended(f"7.{number}", code=1006, lived=600.0, idle=0.4, address=f"192.0.2.{number}")


async def four_connections_that_were_cut_alike(site: Site) -> None:
    for number in range(4):
        site.ended(f"7.{number}", code=1006, lived=600.0, idle=60.0, address=f"192.0.2.{number}")


async def a_site_at_night(site: Site) -> None:
    await site.waiting("private-session.42")
    await site.publish("private-session.42")
    await site.wait(1.0)
    for _ in range(8):
        await site.wait(3_600.0)


async def a_server_that_has_just_started(site: Site) -> None:
    await site.waiting("private-session.42")
    await site.wait(60.0)


async def clients_that_have_just_come(site: Site) -> None:
    await site.wait(3_600.0)
    await site.waiting("private-session.42")
    await site.wait(60.0)


async def a_chat_of_whispers_alone(site: Site) -> None:
    client = await site.waiting("private-a")
    site.whisper(client, "private-a")
    await site.wait(1.0)
    await site.wait(3_600.0)


async def a_page_without_channels(site: Site) -> None:
    """Others of the site have some."""
    reader = await site.waiting("private-a")
    await site.wait(1.0)
    site.leave(reader)
    site.connect()
    await site.publish("private-a")
    await site.wait(3_600.0)


async def publications_without_any_client(site: Site) -> None:
    for _ in range(3):
        await site.publish("private-session.42")
        await site.wait(3_600.0)


async def a_server_without_anything(site: Site) -> None:
    await site.wait(86_400.0)


async def a_client_that_signs_in_alone(site: Site) -> None:
    client = site.connect()
    await site.sign_in(client, sign_in_of(client.socket_id, '{"id":"7"}'), '{"id":"7"}')
    await site.publish("#server-to-user-7")
    await site.wait(3_600.0)


SCENARIOS = [
    scenario
    for name, scenario in list(globals().items())
    if callable(scenario)
    and getattr(scenario, "__annotations__", {}).get("site") is Site
    and not name.startswith("test_")
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_a_right_setup_has_no_finding(scenario: Scenario) -> None:
    site = Site()
    await scenario(site)
    assert [found.sentence for found in await site.findings()] == []


async def test_right_switches_of_an_app_have_no_finding() -> None:
    app = structs.replace(app_with(APP), allowed_origins=("*.example.com",), tls_only=True)
    site = Site(app)
    for origin in ("https://app.example.com", "https://www.example.com:8443"):
        await site.upgrade(f"/app/{KEY}?protocol=7", {"origin": origin}, secure=True)
    assert await site.findings() == []


def test_there_are_enough() -> None:
    assert len(CHANNELS) + len(OTHERS) + len(EVENTS) + len(SCENARIOS) >= 60
