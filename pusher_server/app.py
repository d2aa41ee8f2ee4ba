"""A tenant and its parts, as frozen values: every layer may hold them, and none may change them.

An app that changes is a new `App`, and the old value is replaced (docs/decisions.md#state-of-an-app).
"""

import hashlib
import ipaddress
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct, field, structs

#: A host or a glob, or an IPv6 address without brackets; no scheme, no port.
_ORIGIN = re.compile(r"\A([A-Za-z0-9*?._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*)\Z")


#: Quotes that files and shells leave around a value; some editors make typographic ones of them.
_QUOTES = "\"'`\u2018\u2019\u201c\u201d"
#: Unicode's categories of blanks, line ends, control characters and invisible marks.
_INVISIBLE = ("Zs", "Zl", "Zp", "Cc", "Cf")


def stray_character(text: str) -> str | None:
    """Return why a credential cannot have been meant like this, as "has a blank at its end"; None if it can.

    Nobody sees such a character, and no signature ever matches. The text itself stays out of the reason.
    """
    for place, character in (("beginning", text[:1]), ("end", text[-1:])):
        if not character:
            continue
        if character in _QUOTES:
            return f"has a quote at its {place}; write it without quotes around the value"
        if character in "\r\n":
            return f"has a line end at its {place}; remove it"
        if unicodedata.category(character) in _INVISIBLE:
            return f"has a blank or an invisible character at its {place}; remove it"
    return None


#: Longer keys that no app has are shown in part.
_SHOWN_KEY = 12


class AppKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key and its secret. The key travels in URLs, the secret signs and is never shown."""

    key: str
    secret: str

    def __post_init__(self) -> None:
        for name in ("key", "secret"):
            problem = stray_character(getattr(self, name))
            if problem:
                raise ValueError(f"{name} {problem}")

    def __repr__(self) -> str:
        return f"AppKey(key={self.key!r}, secret=***)"


def shown_key(key: str) -> str:
    """A key that no app has, as a log line may show it: short ones whole, of others the beginning.

    `null` and `undefined` say what is wrong. A long one may be the secret, where somebody has swapped the two.
    """
    return key if len(key) <= _SHOWN_KEY else f"{key[:4]}... ({len(key)} characters)"


class AppLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one app. 0 means no limit; the defaults are in docs/protocol/limits.md#numbers.

    Why they are generous: docs/decisions.md#defaults-and-strict.

    Sizes are bytes, lengths are characters, rates are per second.
    """

    connections: int = 0
    subscriptions_per_connection: int = 2_000
    message_bytes: int = 131_072
    event_data_bytes: int = 102_400
    event_channels: int = 100
    event_name_length: int = 200
    batch_events: int = 10
    channel_name_length: int = 200
    presence_members: int = 0
    presence_member_bytes: int = 16_384
    user_id_length: int = 200
    watchlist: int = 100
    cache_bytes: int = 67_108_864
    client_events_per_second: int = 10
    backend_events_per_second: int = 0
    reads_per_second: int = 0

    def __post_init__(self) -> None:
        for name, value in structs.asdict(self).items():
            if value < 0:
                raise ValueError(f"{name} is {value}; write 0 for 'no limit'")


#: Limits that Pusher enforces; the defaults under the Strict switch (docs/decisions.md#defaults-and-strict).
STRICT_LIMITS: dict[str, int] = {
    "event_data_bytes": 10_240,
    "presence_members": 100,
    "presence_member_bytes": 1_024,
    "user_id_length": 128,
}


#: Other settings that Strict changes: after 4004 a client does not come back by itself.
STRICT_SETTINGS: dict[str, object] = {"over_quota_code": 4004}


#: The events that webhooks can report (docs/protocol/webhooks.md#events).
EventType = Literal[
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
]

#: Header that names the events of a request, so that a receiver can drop repeats.
EVENT_IDS_HEADER = "X-Pusher-Server-Event-Ids"
#: Headers that a webhook cannot set, because every request has its own.
_OUR_HEADERS = (
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Host",
    "Transfer-Encoding",
    "X-Pusher-Key",
    "X-Pusher-Signature",
    EVENT_IDS_HEADER,
)

#: RFC 9110 §5.6.2 and §5.5; values without ASCII's controls, and none beyond ASCII.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"([!-~]([ -~\t]*[!-~])?)?")
#: A host's name: labels of 1 to 63 letters. Resolvers raise errors of their own for any other.
_HOST = re.compile(r"(?=.{1,253}\Z)\w([\w-]{0,61}\w)?(\.\w([\w-]{0,61}\w)?)*\.?", re.ASCII)
#: A URL's host, with the brackets of IPv6, and its port.
_PLACE = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(:\d*)?")
#: Characters of a URL that proxies and servers commonly accept.
_LONGEST_URL = 2_048


class WebhookFilter(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Selects channels by the beginning and the end of their names; "" matches every name."""

    channel_name_starts_with: str = ""
    channel_name_ends_with: str = ""


class Webhook(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A URL of the app's owner, and the events that are sent to it.

    Its URL and headers may carry credentials, so only `shown_url` may be shown.
    """

    url: str
    #: Empty: all of them.
    event_types: tuple[EventType, ...] = ()
    #: Sent with each request besides our own.
    headers: Mapping[str, str] = field(default_factory=dict)
    filter: WebhookFilter = WebhookFilter()
    #: Events that come at the same time may share a request.
    batch: bool = False
    #: Check the certificate of an `https` URL.
    verify: bool = True

    def __post_init__(self) -> None:
        problem = _problem_of_url(self.url)
        if problem:
            raise ValueError(f"url {problem}")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name):
                raise ValueError(f"headers has {name!r}, which HTTP does not allow as a name")
            if name.lower() in map(str.lower, _OUR_HEADERS):
                raise ValueError(f"headers has {name!r}, which the server sets itself; remove it")
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(
                    f"headers has a value for {name!r} that HTTP does not allow; write printable ASCII"
                    " without line breaks, and no blanks around it"
                )

    @property
    def id(self) -> str:
        """Names the target: webhooks of one app with the same URL are one. 12 hex digits."""
        return _id_of(self.url)

    @property
    def shown_url(self) -> str:
        """The URL without what may be secret: user and password, query, fragment."""
        parts = urlsplit(self.url)
        return SplitResult(
            parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""
        ).geturl()

    def __repr__(self) -> str:
        headers = ", ".join(f"{name}: ***" for name in self.headers)
        return (
            f"Webhook(url={self.shown_url!r}, event_types={self.event_types!r}, headers={{{headers}}},"
            f" filter={self.filter!r}, batch={self.batch!r}, verify={self.verify!r})"
        )


@lru_cache(maxsize=4_096)
def _id_of(url: str) -> str:
    """The identifier of a target. Cached, because every event of every webhook needs it."""
    return hashlib.sha256(url.encode()).hexdigest()[:12]


def _problem_of_url(url: str) -> str:
    """The reason why nothing can be sent to the URL, without the URL, which may hold secrets; "" if valid."""
    if not url:
        return "is empty; write it as 'https://example.com/webhooks'"
    if not url.isascii():
        return "has characters beyond ASCII; write the host as xn--… and the rest percent-encoded"
    if not url.isprintable() or " " in url:
        return "has a blank or a control character; write them percent-encoded"
    if len(url) > _LONGEST_URL:
        return f"is longer than {_LONGEST_URL} characters; write a shorter one"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # brackets of IPv6, ports beyond 65535
        return "is malformed; write it as 'https://example.com:8443/webhooks'"
    if parts.scheme not in ("http", "https"):
        return "is not http:// or https://; write it as 'https://example.com/webhooks'"
    place = parts.netloc.rpartition("@")[2]
    if port == 0 or not _PLACE.fullmatch(place) or not _is_host(host):
        return "has no usable host and port; write it as 'https://example.com:8443/webhooks'"
    return ""


def _is_host(host: str) -> bool:
    """Whether it is an address or may be a name."""
    if ":" in host or re.fullmatch(r"[\d.]+", host):
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True
    return bool(_HOST.fullmatch(host))


class App(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant: credentials, switches, limits and webhooks.

    `keys[0]` is the newest and the last one the oldest, which signs webhooks; all of them verify.
    """

    id: str
    keys: tuple[AppKey, ...]
    name: str = ""
    enabled: bool = True
    #: Copy Pusher exactly where it is less forgiving than the self-hosted servers.
    strict: bool = False
    #: Hosts or globs (`*.example.com`); empty or `*` allows every origin.
    allowed_origins: tuple[str, ...] = ()
    #: Refuse plain `ws://` with 4000, so that clients switch to TLS.
    tls_only: bool = False
    #: The clients that may send client events: subscribers of the channel, all connections, none.
    client_events: Literal["members", "all", "off"] = "members"
    client_events_on_public_channels: bool = False
    #: Send `pusher_internal:subscription_count` (docs/protocol/channels.md#subscription-count).
    subscription_count: bool = False
    #: Online/offline events for watched users (docs/protocol/users.md#watchlist).
    watchlist: bool = False
    #: Any printable channel name, for apps that come from Reverb or laravel-websockets.
    lenient_channel_names: bool = False
    #: `terminate_connections` also closes presence members of that id (docs/protocol/users.md#terminate).
    terminate_presence_members: bool = False
    #: Seconds of silence after which client and server check on each other.
    activity_timeout: int = 120
    #: How the server checks on a silent client. `frame` sends a WebSocket ping, which every stack answers
    #: by itself. `event` sends `pusher:ping`, for the rare proxy that answers pings in the client's name.
    ping: Literal["frame", "event"] = "frame"
    #: Seconds in which a connection must sign in or join a private channel; 0 = not required.
    authorization_timeout: int = 0
    #: Seconds for which a cache channel remembers its last event.
    cache_ttl: int = 1_800
    #: Close code when `limits.connections` is reached: 4100 as laravel-websockets and soketi, 4004 as Pusher.
    over_quota_code: Literal[4004, 4100] = 4100
    limits: AppLimits = AppLimits()
    #: The targets of the app's events; two with the same URL are one target.
    webhooks: tuple[Webhook, ...] = ()

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id is empty")
        problem = stray_character(self.id)
        if problem:
            raise ValueError(f"id {problem}")
        if not self.keys or not all(pair.key and pair.secret for pair in self.keys):
            raise ValueError(f"app {self.id!r} needs a key and a secret")
        if self.activity_timeout < 1:
            raise ValueError(f"activity_timeout is {self.activity_timeout}; 1 second is the least")
        for name in ("authorization_timeout", "cache_ttl"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; write 0 or more seconds")
        for origin in self.allowed_origins:
            if not _ORIGIN.match(origin):
                raise ValueError(
                    f"allowed_origins has {origin!r}; write the host only, such as 'app.example.com', "
                    "without scheme and port, an international name as xn--…"
                )

    def secret_of(self, key: str) -> str | None:
        """The secret that belongs to `key`, or None when the key is not this app's."""
        pair = self.pair_of(key)
        return None if pair is None else pair.secret

    def pair_of(self, key: str) -> AppKey | None:
        """`key` with its secret, or None when the key is not this app's."""
        for pair in self.keys:
            if pair.key == key:
                return pair
        return None


class Member(Struct, frozen=True):
    """A user in a presence channel. `info` is JSON text as the backend gave it, None if absent."""

    user_id: str
    info: bytes | None = None
