"""Looking up host names without being held up by names that never answer.

The system's look-up (`getaddrinfo`) blocks a thread and cannot be cancelled. Event loops give it a few
threads that everything shares, so four names that hang stop all others (libuv's pool has four). A `Resolver`
has threads of its own, looks up each name once at a time, and remembers the answer for a moment. Names that
were answered before wait for no others, however many of these hang.
"""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import TypeVar

#: Seconds for which addresses are remembered, and for which it is remembered that there are none.
FOUND_FOR, FAILED_FOR = 10.0, 2.0
#: Seconds that a look-up may take. Later ones of the name fail at once until the system has answered.
PATIENCE = 5.0
#: Look-ups that run at a time, without those that have lost our patience. Both bounds are for names that were
#: answered before, and once more for all others.
MOST_ACTIVE = 32
#: Look-ups that run, wait to run, or have lost our patience: each of the last holds a thread.
MOST_UNDER_WAY = 256
#: Names that are remembered: what they are, and that they answer.
MOST_REMEMBERED = 1_000
#: Addresses of a name that are used.
MOST_ADDRESSES = 16

V = TypeVar("V")
LookUp = Callable[[str], Sequence[str]]


class NameNotResolved(OSError):
    """The name has no address now. The text has the reason, without the name."""


def system_look_up(host: str) -> list[str]:
    """The addresses of a host as the system knows them, the preferred one first. Blocks; raises OSError."""
    rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in rows))


class _Lane:
    """Look-ups that wait for each other: how many run, how many are under way, and names without a thread."""

    __slots__ = ("active", "queue", "under_way")

    def __init__(self) -> None:
        self.active = 0
        self.under_way = 0
        self.queue: deque[str] = deque()


class _Running:
    """A look-up that was begun, and the future that all its callers wait for.

    `timer` runs once it has a thread.
    """

    __slots__ = ("answer", "is_overdue", "lane", "timer")

    def __init__(
        self, lane: _Lane, answer: "asyncio.Future[tuple[str, ...] | NameNotResolved]"
    ) -> None:
        self.lane = lane
        self.answer = answer
        self.is_overdue = False
        self.timer: asyncio.TimerHandle | None = None


class Resolver:
    """Looks up names for one event loop. `look_up` runs in a thread; `clock` gives seconds that only rise.

    `found_for` is how many seconds addresses are remembered for; 0 looks up anew each time.
    """

    def __init__(
        self,
        look_up: LookUp = system_look_up,
        *,
        clock: Callable[[], float] = time.monotonic,
        found_for: float = FOUND_FOR,
        patience: float = PATIENCE,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._found_for = found_for
        self._patience = patience
        #: By name, until when it holds and what it is; the oldest first.
        self._remembered: dict[str, tuple[float, tuple[str, ...] | NameNotResolved]] = {}
        self._under_way: dict[str, _Running] = {}
        #: Names that were answered in time; the oldest first.
        self._answering: dict[str, None] = {}
        #: Of the look-ups under way those of such names, and all others.
        self._good, self._others = _Lane(), _Lane()

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The host's addresses, the preferred one first; a literal address is its own.

        Raises NameNotResolved.
        """
        try:
            return (str(ip_address(host)),)
        except ValueError:
            pass
        answer = self._remembered_of(host)
        if answer is None:
            answer = await asyncio.shield(self._running_look_up(host).answer)
        if isinstance(answer, NameNotResolved):
            raise NameNotResolved(*answer.args)
        return answer

    def _remembered_of(self, host: str) -> tuple[str, ...] | NameNotResolved | None:
        until, answer = self._remembered.get(host, (0.0, None))
        if answer is not None and self._clock() >= until:
            del self._remembered[host]
            return None
        return answer

    def _running_look_up(self, host: str) -> _Running:
        """The look-up of this name that is under way, begun if there is none. Raises NameNotResolved."""
        running = self._under_way.get(host)
        if running is None:
            lane = self._good if host in self._answering else self._others
            if lane.under_way >= MOST_UNDER_WAY:
                raise NameNotResolved(
                    f"{MOST_UNDER_WAY} other host names are being looked up and do not come back;"
                    " check the machine's name servers"
                )
            running = _Running(lane, asyncio.get_running_loop().create_future())
            self._under_way[host] = running
            lane.under_way += 1
            lane.queue.append(host)
            self._begin(lane)
        return running

    def _begin(self, lane: _Lane) -> None:
        """Give threads to those that wait, as far as there are any."""
        loop = asyncio.get_running_loop()
        while lane.queue and lane.active < MOST_ACTIVE:
            host = lane.queue.popleft()
            running = self._under_way[host]
            lane.active += 1
            running.timer = loop.call_later(self._patience, self._lose_patience, host, running)
            # No pool: the interpreter waits at its end for a pool's threads, and these may hang.
            thread = threading.Thread(
                target=self._run, args=(loop, host), name="name look-up", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # their number may be limited
                answer = NameNotResolved("no thread could be begun to resolve its host's name")
                loop.call_soon(self._answered, host, answer)

    def _lose_patience(self, host: str, running: _Running) -> None:
        """The system has not answered: those who wait get the error, and the next name has its turn."""
        running.is_overdue = True
        running.lane.active -= 1
        self._answering.pop(host, None)
        running.answer.set_result(
            NameNotResolved(
                f"its host's name was not resolved within {self._patience:g} s; check the machine's"
                " name servers"
            )
        )
        self._begin(running.lane)

    def _run(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        """Look the name up. Runs in a thread of its own."""
        answer: tuple[str, ...] | NameNotResolved
        try:
            answer = tuple(self._look_up(host)[:MOST_ADDRESSES]) or _unknown()
        except (OSError, UnicodeError):
            answer = _unknown()
        except Exception as error:  # those who wait must get this error, too
            answer = NameNotResolved(f"its host's name could not be looked up ({error!r})")
        try:
            loop.call_soon_threadsafe(self._answered, host, answer)
        except RuntimeError:
            return  # the loop is closed: no caller waits any more

    def _answered(self, host: str, answer: tuple[str, ...] | NameNotResolved) -> None:
        running = self._under_way.pop(host)
        running.lane.under_way -= 1
        if running.timer is not None:
            running.timer.cancel()
        if not running.is_overdue:
            running.lane.active -= 1
            running.answer.set_result(answer)
            _remember(self._answering, host, None)
        holds = FAILED_FOR if isinstance(answer, NameNotResolved) else self._found_for
        self._remembered.pop(host, None)
        if holds > 0:
            _remember(self._remembered, host, (self._clock() + holds, answer))
        self._begin(running.lane)


def _remember(names: dict[str, V], host: str, what: V) -> None:
    """Store an entry as the newest one, in place of the oldest where there are too many."""
    names.pop(host, None)
    if len(names) >= MOST_REMEMBERED:
        del names[next(iter(names))]
    names[host] = what


def _unknown() -> NameNotResolved:
    return NameNotResolved("its host's name cannot be resolved; check the url")
