"""What the suite is aimed at: our own server, or any other from the environment.

    CONFORMANCE_HOST, CONFORMANCE_PORT, CONFORMANCE_APP_ID, CONFORMANCE_KEY, CONFORMANCE_SECRET,
    CONFORMANCE_SCHEME (http or https)

or, for our own, CONFORMANCE_CLUSTER (`clusters.KINDS`): then it is two processes, and connections take turns.

A rule that needs a server configured for it asks for an app by name. Only our own server has those
apps; aimed elsewhere, such a row is reported as "needs our config".
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import free_port

NEEDS_OUR_CONFIG = "needs our config"


@dataclass(frozen=True)
class Credentials:
    """One app's id, key and secret."""

    app_id: str
    key: str
    secret: str


#: The golden vectors are signed with these.
GOLDEN = Credentials("3", "278d425bdf160c739803", "7ad3773142a6692b25b8")

PREFIX = "/ws"
#: Short, because several rows must let them pass.
PONG_TIMEOUT = 1.0
QUICK_ACTIVITY_TIMEOUT = 1

#: Where the webhooks of our own server's app go: a target that wants everything, and one that chooses.
WEBHOOK_PORT = free_port()
EVERYTHING, CHOSEN = "/everything", "/chosen"
#: Short, because several rows must let it pass.
UNDO_WINDOW = 1.0

#: Variation -> how its app differs from the defaults.
VARIATIONS: Mapping[str, Mapping[str, Any]] = {
    "main": {},
    "activity": {"activity_timeout": QUICK_ACTIVITY_TIMEOUT},
    "cache_ttl": {"cache_ttl": 1},
    "client_events_off": {"client_events": "off"},
    "disabled": {"enabled": False},
    "empty": {},
    "event_10kb": {"limits": {"event_data_bytes": 10_240}},
    "full": {"limits": {"connections": 1}},
    "members_100": {"limits": {"presence_members": 100}},
    "origins": {"allowed_origins": ["*.example.com", "app.test"]},
    "rates": {"limits": {"backend_events_per_second": 5, "reads_per_second": 5}},
    "small_messages": {"limits": {"message_bytes": 2_048}},
    "strict": {"strict": True},
    "subscription_count": {"subscription_count": True},
    "tls_only": {"tls_only": True},
    "unauthorized": {"authorization_timeout": 1},
    "watchlist": {"watchlist": True},
    "webhooks": {
        "subscription_count": True,
        "webhooks": [
            {"url": f"http://localhost:{WEBHOOK_PORT}{EVERYTHING}"},
            {
                "url": f"http://localhost:{WEBHOOK_PORT}{CHOSEN}",
                "event_types": ["channel_occupied", "member_added"],
                "filter": {
                    "channel_name_starts_with": "presence-",
                    "channel_name_ends_with": "-chosen",
                },
                "batch": True,
            },
        ],
    },
}


def credentials_of(variation: str) -> Credentials:
    """The credentials that our own server's app for `variation` has."""
    if variation == "main":
        return GOLDEN
    number = 100 + list(VARIATIONS).index(variation)
    return Credentials(str(number), f"key-{variation}", f"secret-{variation}")


def own_settings(folder: Path) -> dict[str, Any]:
    """The config with which our own server is started: one app per variation. Its files are in `folder`."""
    apps = []
    for variation, switches in VARIATIONS.items():
        app = credentials_of(variation)
        apps.append({"id": app.app_id, "key": app.key, "secret": app.secret, **switches})
    return {
        "server": {"path_prefix": PREFIX, "shutdown_grace": 2.0},
        "websocket": {"pong_timeout": PONG_TIMEOUT},
        "cluster": {"undo_window": UNDO_WINDOW},
        "webhooks": {"outbox": str(folder / "outbox.sqlite")},
        "apps": apps,
    }


class Target:
    """Where the server under test listens, and whose apps it has.

    With several `ports` there is a node at each; who asks for `port`, `url` or `websocket_url` is sent to the
    next one. Ask once per connection.
    """

    def __init__(
        self,
        host: str,
        ports: tuple[int, ...],
        main: Credentials,
        *,
        scheme: str = "http",
        own: bool = False,
        prefix: str = "",
        is_cluster: bool = False,
    ) -> None:
        self.host = host
        self.ports = ports
        self.main = main
        self.scheme = scheme
        self.own = own
        #: Path prefix in front of everything (row H13).
        self.prefix = prefix
        #: Several processes: what one is told, others know a moment later.
        self.is_cluster = is_cluster
        self._turns: Iterator[int] = cycle(ports)

    @property
    def port(self) -> int:
        """Where the next connection goes."""
        return next(self._turns)

    def of(self, app: Credentials) -> "Target":
        """The same nodes, with another app as the main one."""
        return self._changed(main=app)

    def behind(self, prefix: str) -> "Target":
        """The same nodes behind this path prefix."""
        return self._changed(prefix=prefix)

    def _changed(self, *, main: Credentials | None = None, prefix: str | None = None) -> "Target":
        return Target(
            self.host,
            self.ports,
            main or self.main,
            scheme=self.scheme,
            own=self.own,
            prefix=self.prefix if prefix is None else prefix,
            is_cluster=self.is_cluster,
        )

    @property
    def url(self) -> str:
        """Base of the HTTP API."""
        return f"{self.scheme}://{self.host}:{self.port}{self.prefix}"

    @property
    def websocket_url(self) -> str:
        """Base of the WebSocket endpoint."""
        return self.url.replace("http", "ws", 1)

    def app(self, variation: str = "main") -> Credentials:
        """The credentials of an app that differs as named; skips the test on a foreign server."""
        if variation == "main":
            return self.main
        self.require_own_config()
        return credentials_of(variation)

    def require_own_config(self) -> None:
        """End the test here unless the server was started by us."""
        if not self.own:
            pytest.skip(NEEDS_OUR_CONFIG)


def target_from_environment() -> Target | None:
    """The foreign server to aim at, or None when our own is to be started."""
    host = os.environ.get("CONFORMANCE_HOST")
    if not host:
        return None
    return Target(
        host=host,
        ports=(int(os.environ.get("CONFORMANCE_PORT", "6001")),),
        main=Credentials(
            os.environ.get("CONFORMANCE_APP_ID", GOLDEN.app_id),
            os.environ.get("CONFORMANCE_KEY", GOLDEN.key),
            os.environ.get("CONFORMANCE_SECRET", GOLDEN.secret),
        ),
        scheme=os.environ.get("CONFORMANCE_SCHEME", "http"),
    )
