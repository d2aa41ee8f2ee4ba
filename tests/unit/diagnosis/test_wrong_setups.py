"""Set-ups in which nothing arrives, and the one sentence that says why."""

# ruff: noqa: E501 - one row of a table is one line

import json
from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from pusher_server.app import App, AppKey
from pusher_server.server import misdirected
from tests.support.signing import channel_auth
from tests.unit.diagnosis.site import (
    APP,
    KEY,
    KEY_2,
    SECRET,
    SECRET_2,
    Site,
    auth_of,
    member,
    sign_in_of,
)
from tests.unit.http_api.backend import app_with

Scenario = Callable[[], Awaitable[Site]]

#: The channel of the event, the channel of the client, how the sentence ends, and the fix.
NAMES: list[tuple[str, str, str, str]] = [
    ("session.42", "private-session.42", "the event uses Channel where PrivateChannel is meant.", "new PrivateChannel('session.42')"),
    ("session.42", "presence-session.42", "the event uses Channel where PresenceChannel is meant.", "new PresenceChannel('session.42')"),
    ("session.42", "private-encrypted-session.42", "the event uses Channel where EncryptedPrivateChannel is meant.", "new EncryptedPrivateChannel('session.42')"),
    ("private-session.42", "presence-session.42", "the event uses PrivateChannel where PresenceChannel is meant.", "new PresenceChannel('session.42')"),
    ("private-session.42", "private-encrypted-session.42", "the event uses PrivateChannel where EncryptedPrivateChannel is meant.", "new EncryptedPrivateChannel('session.42')"),
    ("private-session.42", "session.42", "the client uses Echo.channel where Echo.private is meant.", "call Echo.private('session.42')"),
    ("presence-session.42", "session.42", "the client uses Echo.channel where Echo.join is meant.", "call Echo.join('session.42')"),
    ("presence-session.42", "private-session.42", "the client uses Echo.private where Echo.join is meant.", "call Echo.join('session.42')"),
    ("private-encrypted-session.42", "private-session.42", "the client uses Echo.private where Echo.encryptedPrivate is meant.", "call Echo.encryptedPrivate('session.42')"),
    ("private-session.42", "private-private-session.42", "the prefix is written out, and Echo.private adds it again.", "call Echo.private('session.42')"),
    ("presence-session.42", "presence-presence-session.42", "the prefix is written out, and Echo.join adds it again.", "call Echo.join('session.42')"),
    ("private-private-session.42", "private-session.42", "the prefix is written out, and PrivateChannel adds it again.", "new PrivateChannel('session.42')"),
    ("presence-presence-session.42", "presence-session.42", "the prefix is written out, and PresenceChannel adds it again.", "new PresenceChannel('session.42')"),
    ("presence-session.42", "presence-private-session.42", "the prefix is written out, and Echo.join adds it again.", "call Echo.join('session.42')"),
    ("scores", "cache-scores", "the event uses Channel('scores') where Channel('cache-scores') is meant.", "new Channel('cache-scores')"),
    ("private-scores", "private-cache-scores", "the event uses PrivateChannel('scores') where PrivateChannel('cache-scores') is meant.", "new PrivateChannel('cache-scores')"),
    ("private-Session.42", "private-session.42", "the names differ in capitals.", "alike"),
    ("private-orderStatus", "private-orderstatus", "the names differ in capitals.", "alike"),
    ("App.Models.User.1", "app.models.user.1", "the names differ in capitals.", "alike"),
    ("private-session.42", "private-session-42", "the names differ in a separator (`.`, `-`, `:` or `_`).", "alike"),
    ("private-session_42", "private-session.42", "the names differ in a separator (`.`, `-`, `:` or `_`).", "alike"),
    ("chat-room-1", "chat.room.1", "the names differ in a separator (`.`, `-`, `:` or `_`).", "alike"),
    ("Chat-Room-1", "private-chat.room.1", "the names differ in a separator (`.`, `-`, `:` or `_`).", "alike"),
]  # fmt: skip


@pytest.mark.parametrize(("published", "held", "end", "fix"), NAMES)
async def test_a_name_that_is_nearly_the_same(
    published: str, held: str, end: str, fix: str
) -> None:
    site = Site()
    await site.waiting(held, times=3)
    await site.publish(published)
    (found,) = await site.findings()
    begin = f"`comment.created` went to `{published}`; 3 connections wait on `{held}`: "
    assert found.sentence == begin + end
    assert fix in found.fix
    assert found.is_fault
    assert found.link.startswith("docs/troubleshooting.md#")


#: The event's name, and the sentence behind "The event on `private-session.42` is called".
EVENT_NAMES = [
    (".comment.created", "`.comment.created`: it begins with a dot or a backslash, which Echo takes off.",
     "Let broadcastAs() return 'comment.created'; the dot belongs into Echo.private('session.42').listen('.comment.created', (e) => …)."),
    ("\\App\\Events\\Created", "`\\App\\Events\\Created`: it begins with a dot or a backslash, which Echo takes off.",
     "Let broadcastAs() return 'App\\Events\\Created'; the dot belongs into Echo.private('session.42').listen('Created', (e) => …)."),
    ("App\\\\Events\\\\Created", "`App\\\\Events\\\\Created`: its backslashes were escaped twice.",
     "Send the name as 'App\\Events\\Created', and listen with Echo.private('session.42').listen('Created', (e) => …)."),
    ("comment.created ", "`comment.created `, with a blank at its begin or end.",
     "Send the name as 'comment.created', and listen with Echo.private('session.42').listen('.comment.created', (e) => …)."),
    ("\ncomment.created", "`\\ncomment.created`, with a blank at its begin or end.",
     "Send the name as 'comment.created', and listen with Echo.private('session.42').listen('.comment.created', (e) => …)."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sentence", "fix"), EVENT_NAMES)
async def test_an_event_that_nobody_can_listen_to(name: str, sentence: str, fix: str) -> None:
    """It is delivered, and no client's listener has its name."""
    site = Site()
    await site.waiting("private-session.42")
    await site.publish("private-session.42", name)
    (found,) = await site.findings()
    assert found.sentence == f"The event on `private-session.42` is called {sentence}"
    assert found.fix == fix


PRIVATE, PRESENCE = "private-session.42", "presence-room.1"


async def refused_subscription(
    channel: str, sign: Callable[[str], str], data: str | None = None, app: App = APP
) -> Site:
    """`sign` makes the `auth` from the socket id."""
    site = Site(app)
    former = site.connect()
    site.leave(former)
    client = site.connect()
    assert former.socket_id == "1.1"
    await site.subscribe(client, channel, sign(client.socket_id), data)
    return site


def twice(data: str) -> str:
    return json.dumps(data)


#: Channel, data, how the auth is made from the socket id, and the sentence behind "was refused: ".
SIGNED: list[tuple[str, str | None, Callable[[str], str], str]] = [
    (PRIVATE, None, lambda s: auth_of("1.1", PRIVATE), "the signature is for socket_id 1.1, which this client had before."),
    (PRESENCE, member(), lambda s: auth_of("1.1", PRESENCE, member()), "the signature is for socket_id 1.1, which this client had before."),
    (PRIVATE, None, lambda s: auth_of(s, PRIVATE, secret=SECRET_2), f"it names the key {KEY}, and is signed with the secret of the app's key {KEY_2}."),
    (PRIVATE, None, lambda s: auth_of(s, PRIVATE, secret=SECRET + " "), "it is signed with this app's secret and a blank behind it."),
    (PRIVATE, None, lambda s: auth_of(s, PRIVATE, secret=SECRET + "\r"), "it is signed with this app's secret and a carriage return behind it."),
    (PRIVATE, None, lambda s: auth_of(s, PRIVATE, secret=f'"{SECRET}"'), "it is signed with this app's secret and quotation marks around it."),
    (PRIVATE, None, lambda s: auth_of(s, PRIVATE, secret=KEY), "it is signed with the app's key in place of its secret."),
    (PRIVATE, None, lambda s: auth_of(s, "session.42"), "the backend signed `session.42`."),
    (PRIVATE, None, lambda s: auth_of(s, "presence-session.42"), "the backend signed `presence-session.42`."),
    (PRESENCE, member(), lambda s: auth_of(s, PRESENCE), "the backend signed it without channel_data."),
    (PRESENCE, member(), lambda s: auth_of(s, PRESENCE, twice(member())), "channel_data was encoded twice before it was signed, and once before it was sent."),
    (PRESENCE, twice(member()), lambda s: auth_of(s, PRESENCE, member()), "channel_data was encoded again after it was signed."),
    (PRESENCE, member(), lambda s: auth_of(s, PRESENCE, '{"user_id":"7"}'), "channel_data was written anew, with other blanks or escapes, after it was signed."),
    (PRIVATE, None, lambda s: auth_of(s, PRIVATE, secret="another"), "the secret differs, or another text was signed."),
    (PRIVATE, None, lambda s: f"{KEY}:nonsense", "the secret differs, or another text was signed."),
]  # fmt: skip


@pytest.mark.parametrize(("channel", "data", "sign", "sentence"), SIGNED)
async def test_a_signature_over_another_text(
    channel: str, data: str | None, sign: Callable[[str], str], sentence: str
) -> None:
    site = await refused_subscription(channel, sign, data)
    (found,) = await site.findings()
    begin = f"1 subscription to `{channel}` from 192.0.2.1 was refused: "
    assert found.sentence == begin + sentence
    assert found.link == "docs/troubleshooting.md#subscriptions-and-messages"
    digest = sign("1.2").partition(":")[2]
    assert SECRET not in found.sentence + found.fix
    assert digest not in found.sentence + found.fix


async def subscription_without_auth() -> Site:
    return await refused_subscription(PRIVATE, lambda socket: "")


async def subscription_with_another_key() -> Site:
    return await refused_subscription(
        PRIVATE, lambda socket: channel_auth("other-key", SECRET, socket, PRIVATE)
    )


async def subscription_with_the_secret_as_key() -> Site:
    return await refused_subscription(
        PRIVATE, lambda socket: channel_auth(SECRET, KEY, socket, PRIVATE)
    )


async def presence_without_data() -> Site:
    return await refused_subscription(PRESENCE, lambda socket: auth_of(socket, PRESENCE))


async def presence_without_a_user_id() -> Site:
    data = '{"user_info":{}}'
    return await refused_subscription(
        PRESENCE, lambda socket: auth_of(socket, PRESENCE, data), data
    )


async def name_with_a_colon() -> Site:
    return await refused_subscription("chat:1", lambda socket: "")


async def too_many_subscriptions() -> Site:
    app = app_with(APP, limits={"subscriptions_per_connection": 1})
    site = Site(app)
    client = await site.waiting("a")
    await site.subscribe(client, "b", "")
    return site


async def channel_of_another_user() -> Site:
    return await refused_subscription("#server-to-user-7", lambda socket: "")


async def signed_in_for_another_connection() -> Site:
    site = Site()
    site.leave(site.connect())
    await site.sign_in(site.connect(), sign_in_of("1.1", '{"id":"7"}'), '{"id":"7"}')
    return site


async def signed_in_as_a_channel() -> Site:
    site = Site()
    client = site.connect()
    await site.sign_in(client, auth_of(client.socket_id, '{"id":"7"}'), '{"id":"7"}')
    return site


async def sign_in_without_auth() -> Site:
    site = Site()
    await site.sign_in(site.connect(), "", "")
    return site


async def whispers_that_are_off() -> Site:
    site = Site(structs.replace(APP, client_events="off"))
    site.whisper(await site.waiting(PRIVATE), PRIVATE)
    return site


async def whispers_on_a_public_channel() -> Site:
    site = Site()
    site.whisper(await site.waiting("a"), "a")
    return site


async def another_secret_of_the_backend() -> Site:
    site = Site()
    await site.request(secret="another")
    return site


async def a_quoted_secret_of_the_backend() -> Site:
    site = Site()
    await site.request(secret=f'"{SECRET}"')
    return site


async def the_key_as_secret_of_the_backend() -> Site:
    site = Site()
    await site.request(secret=KEY)
    return site


async def the_secret_of_another_key() -> Site:
    site = Site()
    await site.request(secret=SECRET_2)
    return site


async def a_proxy_that_adds_to_the_path() -> Site:
    site = Site(path_prefix="/ws")
    await site.request(signed_path="/app/apps/3/events")
    return site


async def a_proxy_that_takes_the_slash_off() -> Site:
    site = Site()
    await site.request(signed_path="/apps/3/events/")
    return site


async def a_redirect_that_changes_the_method() -> Site:
    site = Site()
    await site.request(method="GET", path="/apps/3/channels", signed_method="POST", body=b"")
    return site


async def a_proxy_that_adds_a_parameter() -> Site:
    site = Site()
    await site.request(added="&utm=1")
    return site


async def a_proxy_that_changes_the_body() -> Site:
    site = Site()
    await site.request(sent_body=b'{"name": "e", "channels": ["a"], "data": "x"}')
    return site


async def a_backend_whose_clock_is_slow() -> Site:
    site = Site()
    await site.request(skew=3_600.0)
    return site


async def a_key_of_no_app() -> Site:
    site = Site()
    await site.request(key="null")
    return site


async def the_id_of_another_app() -> Site:
    site = Site()
    await site.request(path="/apps/4/events")
    return site


async def an_app_that_is_disabled() -> Site:
    site = Site(structs.replace(APP, enabled=False))
    await site.request()
    return site


async def a_path_that_no_route_has() -> Site:
    site = Site()
    await site.request(path="/broadcast/apps/3/events")
    return site


async def a_payload_that_is_too_large() -> Site:
    site = Site(app_with(APP, limits={"event_data_bytes": 10}))
    await site.request(body=b'{"name":"e","channels":["a"],"data":"12345678901"}')
    return site


async def a_client_with_an_unknown_key() -> Site:
    site = Site()
    await site.upgrade("/app/undefined?protocol=7")
    return site


async def a_client_with_the_secret_as_key() -> Site:
    site = Site()
    await site.upgrade(f"/app/{SECRET}?protocol=7")
    return site


async def a_client_with_another_path() -> Site:
    site = Site(path_prefix="/ws")
    await site.upgrade(f"/websocket/app/{KEY}?protocol=7")
    return site


async def a_client_from_another_origin() -> Site:
    site = Site(structs.replace(APP, allowed_origins=("app.example.com",)))
    await site.upgrade(f"/app/{KEY}?protocol=7", {"origin": "https://www.example.com"})
    return site


async def an_app_without_an_origin() -> Site:
    site = Site(structs.replace(APP, allowed_origins=("app.example.com",)))
    await site.upgrade(f"/app/{KEY}?protocol=7")
    return site


async def a_client_without_tls() -> Site:
    site = Site(structs.replace(APP, tls_only=True))
    await site.upgrade(f"/app/{KEY}?protocol=7")
    return site


async def a_client_of_a_disabled_app() -> Site:
    site = Site(structs.replace(APP, enabled=False))
    await site.upgrade(f"/app/{KEY}?protocol=7")
    return site


async def a_client_of_an_old_protocol() -> Site:
    site = Site()
    await site.upgrade(f"/app/{KEY}?protocol=4")
    return site


async def an_app_with_too_many_clients() -> Site:
    site = Site(app_with(APP, limits={"connections": 1}))
    site.connect()
    await site.upgrade(f"/app/{KEY}?protocol=7")
    return site


async def tls_on_the_plain_port() -> Site:
    site = Site()
    site.comes_wrong(misdirected.TLS)
    return site


async def plain_http_on_the_tls_port() -> Site:
    site = Site()
    site.comes_wrong(misdirected.PLAIN_HTTP)
    return site


async def a_proxy_that_drops_upgrade() -> Site:
    site = Site()
    for _ in range(3):
        await site.backend.send("GET", f"/app/{KEY}")
    return site


async def a_proxy_with_a_double_slash() -> Site:
    site = Site()
    await site.backend.send("POST", "/apps/3//events")
    return site


async def a_proxy_that_sends_its_protocol() -> Site:
    site = Site()
    site.comes_wrong(misdirected.PROXY_PROTOCOL)
    return site


async def a_certificate_without_its_chain() -> Site:
    site = Site()
    site.comes_wrong(misdirected.CERTIFICATE_REFUSED)
    return site


async def a_client_that_comes_again_and_again() -> Site:
    site = Site()
    for number in range(8):
        site.clock.advance(3.0)
        site.ended(f"7.{number}", code=1006, lived=2.0)
    return site


async def a_client_that_is_refused_after_it_was_let_in() -> Site:
    site = Site()
    for number in range(6):
        site.clock.advance(12.0)
        site.ended(f"7.{number}", code=4009, lived=10.0)
    return site


async def a_proxy_that_cuts_after_a_minute() -> Site:
    site = Site()
    for number in range(7):
        site.clock.advance(11.0)
        idle = 60.0 + number % 3 / 5
        site.ended(
            f"7.{number}",
            code=1006,
            lived=61.0 + 40 * number,
            idle=idle,
            address=f"192.0.2.{number}",
        )
    site.ended("7.8", code=1006, lived=300.0, idle=17.0)
    return site


async def nobody_publishes() -> Site:
    site = Site()
    await site.waiting(PRIVATE, times=2)
    await site.wait(1.0)
    await site.wait(600.0)
    return site


async def nobody_subscribes() -> Site:
    site = Site()
    site.connect()
    site.connect()
    await site.wait(1.0)
    await site.wait(120.0)
    await site.publish(PRIVATE)
    return site


async def backend_and_clients_use_two_apps() -> Site:
    site = Site()
    other = App(id="5", keys=(AppKey(key="other", secret="s"),))
    client = site.connect(other)
    await site.subscribe(client, "news", "")
    await site.publish("news")
    await site.wait(1.0)
    return site


#: A set-up, and the sentence that says what is wrong.
SETUPS: list[tuple[Scenario, str]] = [
    (subscription_without_auth, "1 subscription to `private-session.42` from 192.0.2.1 was refused: the client sent no auth: check its authEndpoint, and what that answers."),
    (subscription_with_another_key, "1 subscription to `private-session.42` from 192.0.2.1 was refused: the key of its auth is not this app's: the backend's PUSHER_APP_KEY is wrong."),
    (subscription_with_the_secret_as_key, "1 subscription to `private-session.42` from 192.0.2.1 was refused: the key of its auth is the app's secret: the backend's PUSHER_APP_KEY and PUSHER_APP_SECRET are swapped."),
    (presence_without_data, "1 subscription to `presence-room.1` from 192.0.2.1 was refused: Presence channels need channel_data or a sign-in; the backend's auth endpoint has to answer channel_data with a user_id."),
    (presence_without_a_user_id, "1 subscription to `presence-room.1` from 192.0.2.1 was refused: "),
    (name_with_a_colon, "1 subscription to `chat:1` from 192.0.2.1 was refused: Invalid channel name: 'chat:1'; limits.channel_name_length and lenient_channel_names decide."),
    (too_many_subscriptions, "1 subscription to `b` from 192.0.2.1 was refused: The connection has 1 subscriptions, the maximum; the app's limits say so (docs/configuration.md)."),
    (channel_of_another_user, "1 subscription to `#server-to-user-7` from 192.0.2.1 was refused: the channel is a user's own: the client has to sign in as that user first."),
    (signed_in_for_another_connection, "1 sign-in from 192.0.2.1 was refused: the signature is for socket_id 1.1, which this client had before."),
    (signed_in_as_a_channel, "1 sign-in from 192.0.2.1 was refused: the backend signed a text without `::user::`, as of a channel."),
    (sign_in_without_auth, "1 sign-in from 192.0.2.1 was refused: the client sent no auth: check its userAuthentication endpoint, and what that answers."),
    (whispers_that_are_off, "1 message on `private-session.42` from 192.0.2.1 was refused: Client events are off for this app; its setting client_events turns them on."),
    (whispers_on_a_public_channel, "1 message on `a` from 192.0.2.1 was refused: Client event rejected - only supported on private and presence channels."),
    (another_secret_of_the_backend, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: the secret differs, or another text was signed."),
    (a_quoted_secret_of_the_backend, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: it is signed with this app's secret and quotation marks around it."),
    (the_key_as_secret_of_the_backend, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: it is signed with the app's key in place of its secret."),
    (the_secret_of_another_key, f"1 request `POST /apps/3/events` from 127.0.0.1 was refused: it names the key {KEY}, and is signed with the secret of the app's key {KEY_2}."),
    (a_proxy_that_adds_to_the_path, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: the backend signed the path `/app/apps/3/events`."),
    (a_proxy_that_takes_the_slash_off, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: the backend signed the path `/apps/3/events/`."),
    (a_redirect_that_changes_the_method, "1 request `GET /apps/3/channels` from 127.0.0.1 was refused: the backend signed POST, so a redirect or a proxy has changed the method."),
    (a_proxy_that_adds_a_parameter, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: it was signed without the parameter `utm`."),
    (a_proxy_that_changes_the_body, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: the body is not the one that was signed: something between the backend and here changes it."),
    (a_backend_whose_clock_is_slow, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: the backend's clock is 3600 s behind ours, or the request was held up: set both clocks by NTP."),
    (a_key_of_no_app, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: no app has its key: the backend's PUSHER_APP_KEY is wrong, or the app is missing here."),
    (the_id_of_another_app, "1 request `POST /apps/4/events` from 127.0.0.1 was refused: its key is this app's, and its path names another: the backend's PUSHER_APP_ID and PUSHER_APP_KEY do not belong together."),
    (an_app_that_is_disabled, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: the app is disabled: set enabled = true, or run `pusher-server apps enable`."),
    (a_path_that_no_route_has, "1 request `POST /broadcast/apps/3/events` from 127.0.0.1 was refused: no route has its path: compare the backend's host, port and path options with server.path_prefix."),
    (a_payload_that_is_too_large, "1 request `POST /apps/3/events` from 127.0.0.1 was refused: The data content of this event exceeds the allowed maximum (10 bytes).; the limits are http.request_bytes and limits.event_data_bytes."),
    (a_client_with_an_unknown_key, "1 connection at `/app/undefined` from 192.0.2.1 was refused: no app has the key of the path: the client's key is wrong, or the app is missing here."),
    (a_client_with_the_secret_as_key, "1 connection at `/app/***` from 192.0.2.1 was refused: the client has an app's secret as its key: give it the key, and make a new secret."),
    (a_client_with_another_path, f"1 connection at `/websocket/app/{KEY[:4]}... (20 characters)` from 192.0.2.1 was refused: the path is not /ws/app/KEY: check the client's wsPath, server.path_prefix, and what a proxy adds or removes."),
    (a_client_from_another_origin, f"1 connection at `/app/{KEY}` from 192.0.2.1 was refused: the host of its Origin 'https://www.example.com' is not in the app's allowed_origins: add it there."),
    (an_app_without_an_origin, f"1 connection at `/app/{KEY}` from 192.0.2.1 was refused: the client sends no Origin, as apps do: they need \"*\" in the app's allowed_origins."),
    (a_client_without_tls, f"1 connection at `/app/{KEY}` from 192.0.2.1 was refused: the app is tls_only and the client came without TLS"),
    (a_client_of_a_disabled_app, f"1 connection at `/app/{KEY}` from 192.0.2.1 was refused: the app is disabled: set enabled = true, or run `pusher-server apps enable`."),
    (a_client_of_an_old_protocol, f"1 connection at `/app/{KEY}` from 192.0.2.1 was refused: the client's protocol version is 4; the server has 5, 6 and 7."),
    (an_app_with_too_many_clients, f"1 connection at `/app/{KEY}` from 192.0.2.1 was refused: the app has its limits.connections (1) already: raise it, or find out whether clients leave connections open."),
    (tls_on_the_plain_port, "1 request from 192.0.2.1 was refused: a client speaks TLS to a port without TLS: "),
    (plain_http_on_the_tls_port, "1 request from 192.0.2.1 was refused: a client speaks plain HTTP to a port with TLS: "),
    (a_proxy_that_drops_upgrade, f"3 requests `GET /app/{KEY[:4]}... (20 characters)` from 127.0.0.1 were refused: it is for a WebSocket and came without Upgrade: a proxy dropped it, or a browser opened the address; "),
    (a_proxy_with_a_double_slash, "1 request `POST /apps/3//events` from 127.0.0.1 was refused: its path has a double slash: take one out of the host, path or prefix that the client or proxy is set to"),
    (a_proxy_that_sends_its_protocol, "1 request from 192.0.2.1 was refused: a proxy sends the PROXY protocol, "),
    (a_certificate_without_its_chain, "1 request from 192.0.2.1 was refused: a client does not accept our certificate: "),
    (a_client_that_comes_again_and_again, "A client at 192.0.2.1 has connected 8 times in the last 23 s, each time for 2 s, and just dropped."),
    (a_client_that_is_refused_after_it_was_let_in, "A client at 192.0.2.1 has connected 6 times in the last 70 s, each time for 10 s, and ended with 4009."),
    (a_proxy_that_cuts_after_a_minute, "7 connections were cut after 60 s without a byte: something on the way cuts after 60 s."),
    (nobody_publishes, "2 connections of app 3 are there, the first for 10 min, and no publication has come since the server started 10 min ago."),
    (nobody_subscribes, "2 connections of app 3 are there, the first for 2 min, and none has subscribed to anything since the server started; `comment.created` went to `private-session.42` meanwhile."),
    (backend_and_clients_use_two_apps, "`comment.created` went to `news` of app 3, which never had a client; 1 connection waits on it of app 5, to which nobody has published."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("scenario", "sentence"), SETUPS, ids=lambda row: getattr(row, "__name__", "")
)
async def test_a_wrong_setup_has_its_sentence(scenario: Scenario, sentence: str) -> None:
    site = await scenario()
    (found,) = await site.findings()
    assert found.sentence.startswith(sentence), found.sentence
    assert SECRET not in found.sentence + found.fix


def test_there_are_enough() -> None:
    assert len(NAMES) + len(EVENT_NAMES) + len(SIGNED) + len(SETUPS) >= 60
