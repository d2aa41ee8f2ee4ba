"""The one way out to subscribers: one flush per loop turn, big channels in chunks, other channels between.

Measured (docs/performance.md): joining what one turn gathered makes 8 events in flight 4 times cheaper
than writing each, and at light load costs nothing. Without chunks a channel of 10,000 holds up all others
for 67 ms; with chunks of 200, served round robin, for 3.7 ms. One FIFO of chunks does not help: a channel
goes to the end of the queue after each of its chunks.

The latency of a pass through a channel is the time from its oldest event to its last write. It is noted with
one look at the clock per turn: a turn is about 1 ms. In a channel that never comes to rest, events that come
during a pass count as old as that pass.
"""

from collections import deque
from collections.abc import Callable

from pusher_server.histogram import Histogram
from pusher_server.hub.channel import Channel
from pusher_server.hub.traffic import LATENCY_BOUNDS

#: Subscribers written to before other channels, and the loop itself, get a turn: about 1 ms.
CHUNK = 200


class Fanout:
    """The queue of channels that owe frames. `call_soon` runs a callback in the next loop turn.

    `latency` observes every batch that is out, by `clock`.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        *,
        chunk: int = CHUNK,
        clock: Callable[[], float] = lambda: 0.0,
        latency: Histogram | None = None,
    ) -> None:
        self._call_soon = call_soon
        self._chunk = chunk
        self._clock = clock
        self._latency = latency or Histogram(LATENCY_BOUNDS)
        self._ready: deque[Channel] = deque()
        self._armed = False
        #: The last reading of the clock: when the first channel came, or after the last turn.
        self._now = 0.0

    def schedule(self, channel: Channel) -> None:
        """`channel` owes frames: it will be served."""
        if channel.scheduled:
            return
        channel.scheduled = True
        self._ready.append(channel)
        if not self._armed:
            self._armed = True
            self._now = self._clock()
            self._call_soon(self.flush)
        channel.since, channel.left = self._now, 0

    def flush(self) -> None:
        """Serve channels until a chunk's worth of writes is done; the rest in the next turn."""
        ready, written = self._ready, 0
        waited: list[float] = []
        try:
            while ready and written < self._chunk:
                channel = ready.popleft()
                channel.scheduled = False
                served = channel.serve(self._chunk)
                written += served
                if channel.owes:
                    channel.scheduled = True
                    ready.append(channel)
                    if not channel.left:
                        channel.behind, channel.left = self._now, len(channel.subscribers)
                    channel.left = max(0, channel.left - served)
                    if not channel.left:
                        waited.append(channel.since)
                        channel.since = channel.behind
                elif served:
                    waited.append(channel.since)
        finally:  # a transport that raises must not end the fan-out of all the others
            self._now = now = self._clock()
            self._latency.observe_since(waited, now)
            if ready:
                self._call_soon(self.flush)
            else:
                self._armed = False
