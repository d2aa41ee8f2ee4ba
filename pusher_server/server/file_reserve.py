"""Open files: clients get all but a reserve, and near its edge those leave first who are missed least.

A process that has no file left can neither accept nor look up, log or publish: everything ends at once. So
a part of the limit is never given to clients that stay (`metrics.process_use.files_for_clients`). Half of
that part is for clients on their way in or out: whoever is refused, asks once, or says nothing.
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
#: Seconds that somebody has to say what it wants, or to go after a refusal, while others need the file. The
#: request follows the connect at once, a TLS handshake takes two ways more.
_REQUEST_SECONDS = 0.25
_HANDSHAKE_SECONDS = 0.5
#: So much of them passes from one look to the next at the most: while we are late, nobody can be heard.
_STEP_SECONDS = 0.05
#: So many of a kind are watched at a time, the oldest first: looking at all of them again and again would take
#: the loop's time just when there are most. Enough to let some thousands go in a second.
_WATCHED = 1_000
#: Above so many clients a kernel that has to list open files (Linux before 6.2) is not asked for them.
_LISTED = 2_000


class Idle(Protocol):
    """A kept HTTP connection between two requests."""

    def end(self) -> None:
        """Close it, and wait but shortly for the client's goodbye."""


class FileReserve:
    """Without a limit, until `limit_to` sets one.

    `idle`: connections of the API without a request, oldest first. `refused`: clients that were told to go,
    oldest first. `resized` is told how many clients may stay. `clock` gives seconds that only rise.
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
        #: Told when clients come near the edge.
        self.on_pressure: Callable[[], None] = lambda: None
        #: Who has not sent the head of a request yet.
        self.silent: dict[Leaving, None] = {}
        #: Sockets that were accepted and are no connections yet: TLS handshakes.
        self.arriving: dict[Leaving, None] = {}
        #: Of those whom others have to wait for: seconds that they have been watched.
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
        """Whether a client that is here may stay while it wants nothing."""
        return len(self.connections) <= self.capacity

    @property
    def is_calm(self) -> bool:
        """Whether clients are so few that accepting needs no care any more."""
        return self.clients < self.mark - min(64, self.mark // 4)

    @property
    def is_used_up(self) -> bool:
        """Whether nobody else may come in now."""
        return self.clients >= self.capacity + self._passing

    def came(self, client: Leaving) -> None:
        """It is connected and has said nothing yet."""
        self.silent[client] = None
        if len(self.connections) >= self.mark:
            self.make_room()
            self.on_pressure()

    def make_room(self) -> None:
        """Let idle API connections go, and, when that is not enough, whoever was refused or says nothing."""
        over = self.clients - self.capacity
        if over > 0:
            for idle in [*islice(self._idle, over)]:
                idle.end()
        if self.is_used_up:
            self._cut(over)
        elif over <= 0 and self._watched:
            self._watched.clear()

    def _cut(self, most: int) -> None:
        """End those whom others have waited for long enough, refused ones first."""
        now = self._clock()
        passed = min(now - self._looked_at, _STEP_SECONDS)
        self._looked_at = now
        patience = {
            **dict.fromkeys(islice(self._refused, _WATCHED), _REQUEST_SECONDS),
            **dict.fromkeys(islice(self.silent, _WATCHED), _REQUEST_SECONDS),
            **dict.fromkeys(islice(self.arriving, _WATCHED), _HANDSHAKE_SECONDS),
        }
        self._watched = {each: self._watched.get(each, 0.0) + passed for each in patience}
        over = [each for each, since in self._watched.items() if since >= patience[each]]
        for client in over[:most]:
            client.abort()

    def measure(self) -> None:
        """See what others use: links, databases, webhooks. Called a few times a second."""
        if not self._limit:
            return
        clients = self.clients
        used = open_files(listing=clients <= _LISTED)
        if used:
            others = max(0, used - clients)
            room = self._limit - others - self._passing - _MARGIN
            self._resize(max(0, min(files_for_clients(self._limit), room)))
        self.make_room()
