"""Gives open files to clients, except a reserve. Near its edge the least important clients leave first.

A process that has no file left can neither accept nor look up, log or publish: everything ends at once. So
a part of the limit is never given to clients that stay (`metrics.process_stats.files_for_clients`). Half of
that part is for clients on their way in or out: refused ones, those with a single request, silent ones.
"""

from collections.abc import Callable, Iterable, Sized
from itertools import islice
from typing import Protocol

from pusher_server.clients.registry import Leaving
from pusher_server.metrics.process_stats import files_for_clients, open_files

#: Files beyond what others use and clients pass through: a log that is opened again, a look-up.
_MARGIN = 8
#: So many files before the last, accepting becomes careful (`accepting`).
_EARLY = 16
#: Seconds that a client has to send its request, or to go after a refusal, while others need the file. The
#: request follows the connect at once, a TLS handshake takes two ways more.
_REQUEST_SECONDS = 0.25
_HANDSHAKE_SECONDS = 0.5
#: So much of them passes from one look to the next at the most: while we are late, no request can be read.
_STEP_SECONDS = 0.05
#: So many of a kind are watched at a time, the oldest first. To look at all of them again and again would take
#: the loop's time just when there are most. Enough to let some thousands go in a second.
_WATCHED = 1_000
#: Above so many clients a kernel that has to list open files (Linux before 6.2) is not queried.
_LISTED = 2_000


class Idle(Protocol):
    """A kept HTTP connection between two requests."""

    def end(self) -> None:
        """Close it, and wait only shortly for the client to close, too."""


class FileReserve:
    """Divides the open files of a process. There is no limit until `limit_to` sets one.

    `idle`: connections of the API without a request, oldest first. `refused`: clients that were asked to
    leave, oldest first. `resized` is called with the number of clients that may stay. `clock` gives seconds
    that only rise.
    """

    def __init__(
        self,
        *,
        idle: Iterable[Idle],
        refused: Iterable[Leaving],
        clock: Callable[[], float],
        resized: Callable[[int], None],
    ) -> None:
        #: All clients that are connected; uvicorn's server has them.
        self.connections: Sized = ()
        self._idle = idle
        self._refused = refused
        self._clock = clock
        self._resized = resized
        #: Called when clients come near the edge.
        self.on_pressure: Callable[[], None] = lambda: None
        #: Clients that have not sent the head of a request yet.
        self.silent: dict[Leaving, None] = {}
        #: Sockets that were accepted and are no connections yet: TLS handshakes.
        self.arriving: dict[Leaving, None] = {}
        #: Clients that others have to wait for -> seconds that they have been watched.
        self._watched: dict[Leaving, float] = {}
        self._looked_at = 0.0
        self.limit_to(0)

    def limit_to(self, limit: int) -> None:
        """So many files may be open; 0 is no limit."""
        self._limit = limit
        #: Clients that may stay.
        self.capacity = files_for_clients(limit)
        #: Clients that may come besides, and soon go again.
        self._passing = (limit - self.capacity) // 2 if limit else 0
        self._resize(self.capacity)

    def _resize(self, capacity: int) -> None:
        self.capacity = capacity
        #: From so many clients on accepting is careful.
        self.mark = max(0, capacity - _EARLY)
        self._resized(capacity)

    @property
    def clients(self) -> int:
        """Files that clients have."""
        return len(self.connections) + len(self.arriving)

    @property
    def has_room(self) -> bool:
        """Whether a client that is here may stay while it is idle."""
        return len(self.connections) <= self.capacity

    @property
    def is_calm(self) -> bool:
        """Whether clients are so few that accepting needs no care any more."""
        return self.clients < self.mark - min(64, self.mark // 4)

    @property
    def is_used_up(self) -> bool:
        """Whether no further client may come in now."""
        return self.clients >= self.capacity + self._passing

    def came(self, client: Leaving) -> None:
        """A client is connected and has sent nothing yet."""
        self.silent[client] = None
        if len(self.connections) >= self.mark:
            self.make_room()
            self.on_pressure()

    def make_room(self) -> None:
        """End idle API connections and, when that is not enough, refused and silent clients."""
        over = self.clients - self.capacity
        if over > 0:
            for idle in [*islice(self._idle, over)]:
                idle.end()
        if self.is_used_up:
            self._cut(over)
        elif over <= 0 and self._watched:
            self._watched.clear()

    def _cut(self, most: int) -> None:
        """End clients that others have waited for long enough, refused ones first."""
        now = self._clock()
        passed = min(now - self._looked_at, _STEP_SECONDS)
        self._looked_at = now
        patience = {
            **dict.fromkeys(islice(self._refused, _WATCHED), _REQUEST_SECONDS),
            **dict.fromkeys(islice(self.silent, _WATCHED), _REQUEST_SECONDS),
            **dict.fromkeys(islice(self.arriving, _WATCHED), _HANDSHAKE_SECONDS),
        }
        self._watched = {client: self._watched.get(client, 0.0) + passed for client in patience}
        over = [client for client, since in self._watched.items() if since >= patience[client]]
        for client in over[:most]:
            client.abort()

    def measure(self) -> None:
        """Measure the files of others: links, databases, webhooks. Called a few times a second."""
        if not self._limit:
            return
        clients = self.clients
        used = open_files(listing=clients <= _LISTED)
        if used:
            others = max(0, used - clients)
            room = self._limit - others - self._passing - _MARGIN
            self._resize(max(0, min(files_for_clients(self._limit), room)))
        self.make_room()
