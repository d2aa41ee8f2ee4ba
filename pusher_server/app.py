"""What a tenant is: frozen values that every layer may hold and none may change.

An app that changes is a new `App`; whoever keeps per-app state swaps the value (DESIGN §16.8).
"""

import re
from typing import Literal

from msgspec import Struct, structs

#: A host or a glob, or an IPv6 address without brackets; no scheme, no port.
_ORIGIN = re.compile(r"\A([A-Za-z0-9*?._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*)\Z")


class AppKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key and its secret. The key travels in URLs, the secret signs and is never shown."""

    key: str
    secret: str

    def __repr__(self) -> str:
        return f"AppKey(key={self.key!r}, secret=***)"


class AppLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one app, with the defaults of PROTOCOL §9 and DESIGN §16.17. 0 means no limit.

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
    client_events_per_second: int = 10
    backend_events_per_second: int = 0
    reads_per_second: int = 0

    def __post_init__(self) -> None:
        for name, value in structs.asdict(self).items():
            if value < 0:
                raise ValueError(f"{name} is {value}; write 0 for 'no limit'")


#: What Pusher itself enforces; the defaults under the Strict switch (DESIGN §16.17).
STRICT_LIMITS: dict[str, int] = {
    "event_data_bytes": 10_240,
    "presence_members": 100,
    "presence_member_bytes": 1_024,
    "user_id_length": 128,
}


class App(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tenant: credentials, switches and limits.

    `keys[0]` is the newest and signs; all of them verify.
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
    #: Who may send client events: subscribers of the channel, anybody connected, nobody.
    client_events: Literal["members", "all", "off"] = "members"
    client_events_on_public_channels: bool = False
    #: Send `pusher_internal:subscription_count` (PROTOCOL §3.7).
    subscription_count: bool = False
    #: Online/offline events for watched users (PROTOCOL §6.4).
    watchlist: bool = False
    #: Any printable channel name, for apps that come from Reverb or laravel-websockets.
    lenient_channel_names: bool = False
    #: `terminate_connections` also closes presence members of that id (PROTOCOL §6.3).
    terminate_presence_members: bool = False
    #: Seconds of silence after which client and server check on each other.
    activity_timeout: int = 120
    #: How the server checks on a silent client: a WebSocket ping, which every stack answers by itself, or
    #: a `pusher:ping`, for the rare proxy that answers pings in the client's name.
    ping: Literal["frame", "event"] = "frame"
    #: Seconds in which a connection must sign in or join a private channel; 0 = not required.
    authorization_timeout: int = 0
    #: Seconds for which a cache channel remembers its last event.
    cache_ttl: int = 1_800
    #: Close code when `limits.connections` is reached: 4004 as Pusher, 4100 as soketi.
    over_quota_code: Literal[4004, 4100] = 4004
    limits: AppLimits = AppLimits()

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("id is empty")
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
        for pair in self.keys:
            if pair.key == key:
                return pair.secret
        return None


class Member(Struct, frozen=True):
    """A user in a presence channel. `info` is JSON text as the backend gave it, None if absent."""

    user_id: str
    info: bytes | None = None
