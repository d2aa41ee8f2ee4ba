"""How established connections are sent away before the process ends: how many, and when (pure)."""

from collections.abc import Iterator
from math import ceil

#: Seconds between two batches.
STEP = 0.05
#: pusher-js comes back at once after 4200, so what one second closes, one second connects elsewhere. A
#: core takes some 6,500 new connections a second (docs/sizing.md); this leaves it most of its time.
FASTEST = 1_000


def batches(connections: int, grace: float) -> Iterator[int]:
    """Sizes of the batches, one every `STEP` seconds, so that all are out within `grace` seconds."""
    per_second = max(FASTEST, connections / grace if grace > 0 else connections / STEP)
    size = ceil(per_second * STEP)
    while connections > 0:
        yield min(size, connections)
        connections -= size
