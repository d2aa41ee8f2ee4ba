"""What all parts of the audit agree on: the app, its channels, the times."""

from dataclasses import dataclass
from typing import Any

APP_ID, KEY, SECRET = "1", "chaos-key", "chaos-secret"

PRESENCE = (*(f"presence-room-{n}" for n in range(5)), "presence-cache-board")
CACHES = ("cache-quote", "private-cache-state", "presence-cache-board")
OTHERS = (
    *(f"news-{n}" for n in range(4)),
    *(f"private-desk-{n}" for n in range(3)),
    "cache-quote",
    "private-cache-state",
)
#: Everybody may be in these.
BROAD = (*PRESENCE, *OTHERS)
#: A client may be in one of these, its own few fellows with it: they are vacated and occupied all the time.
NARROW = tuple(
    f"{kind}-{n}" for n in range(14) for kind in ("narrow", "private-narrow", "presence-narrow")
)

Address = tuple[str, int]


def may_whisper(channel: str) -> bool:
    """Whether the protocol lets clients send events there."""
    return channel.startswith(("presence-", "private-"))


def narrow_channel(client: int) -> str:
    """The one narrow channel that this client may be in."""
    return NARROW[client % len(NARROW)]


def user_channel(user: str) -> str:
    """Where events to a user come in."""
    return f"#server-to-user-{user}"


@dataclass(frozen=True)
class Timing:
    """Seconds. Short, so that a minute sees many faults."""

    lease: float = 3.0
    undo: float = 3.0
    #: How long a subscribe may wait for the cluster before the client is sent away with 4100.
    wait: float = 3.0
    #: pusher-js waits one second before it connects again.
    backoff: float = 1.0
    #: After this, everything must be at rest: a lease runs out, its leaves settle, clients are back. Twice
    #: the back-off and the wait, because a client may meet two nodes that are not ready again.
    rest: float = 3.0 + 3.0 + 2 * (1.0 + 3.0) + 3.0


def settings(timing: Timing) -> dict[str, Any]:
    """The config tree that every node has in common."""
    return {
        "server": {"shutdown_grace": 1.0},
        "websocket": {"wait_timeout": timing.wait},
        "cluster": {"undo_window": timing.undo},
        "log": {"level": "info"},
        "apps": [
            {
                "id": APP_ID,
                "key": KEY,
                "secret": SECRET,
                "subscription_count": True,
                "watchlist": True,
            }
        ],
    }
