"""Looking up host names without being held up by names that never answer.

The system's look-up (`getaddrinfo`) blocks a thread and cannot be cancelled. Event loops give it a few
threads that everything shares, so four names that hang stop all others (libuv's pool has four). A `Resolver`
has threads of its own, asks for each name once at a time, and remembers the answer for a moment.
"""

import asyncio
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from ipaddress import ip_address

#: Seconds for which addresses are remembered, and for which it is remembered that there are none.
FOUND_FOR, FAILED_FOR = 10.0, 2.0
#: Seconds that a look-up may take. Later ones of the name fail at once until the system has answered.
PATIENCE = 5.0
#: Look-ups that run at a time, without those that have lost our patience.
MOST_ACTIVE = 32
#: Look-ups that run, wait to run, or have lost our patience: each of the last holds a thread.
MOST_UNDER_WAY = 256
#: Names that are remembered.
MOST_REMEMBERED = 1_000
#: Addresses of a name that are used.
MOST_ADDRESSES = 16

LookUp = Callable[[str], Sequence[str]]


class NameNotResolved(OSError):
    """The name has no address now. The text says why, without the name."""


def system_look_up(host: str) -> list[str]:
    """The addresses of a host as the system knows them, the preferred one first. Blocks; raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _Running:
    """A look-up that was begun, and the future that all who asked wait for.

    `timer` runs once it has a thread.
    """

    __slots__ = ("answer", "is_overdue", "timer")

    def __init__(self, answer: "asyncio.Future[tuple[str, ...] | NameNotResolved]") -> None:
        self.answer = answer
        self.is_overdue = False
        self.timer: asyncio.TimerHandle | None = None


class Resolver:
    """Looks up names for one event loop. `look_up` runs in a thread; `clock` gives seconds that only rise.

    `found_for` is how many seconds addresses are remembered for; 0 asks anew each time.
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
        #: Those of them that have no thread yet.
        self._queue: deque[str] = deque()
        self._active = 0

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The host's addresses, the preferred one first; a literal address is its own.

        Raises NameNotResolved.
        """
        try:
            return (str(ip_address(host)),)
        except ValueError:
            pass
        told = self._remembered_of(host)
        if told is None:
            told = await asyncio.shield(self._asked(host).answer)
        if isinstance(told, NameNotResolved):
            raise NameNotResolved(*told.args)
        return told

    def _remembered_of(self, host: str) -> tuple[str, ...] | NameNotResolved | None:
        until, told = self._remembered.get(host, (0.0, None))
        if told is not None and self._clock() >= until:
            del self._remembered[host]
            return None
        return told

    def _asked(self, host: str) -> _Running:
        """The look-up of this name that is under way, begun if there is none. Raises NameNotResolved."""
        running = self._under_way.get(host)
        if running is None:
            if len(self._under_way) >= MOST_UNDER_WAY:
                raise NameNotResolved(
                    f"{MOST_UNDER_WAY} other host names are being looked up and do not come back;"
                    " check the machine's name servers"
                )
            running = self._under_way[host] = _Running(asyncio.get_running_loop().create_future())
            self._queue.append(host)
            self._begin()
        return running

    def _begin(self) -> None:
        """Give threads to those that wait, as far as there are any."""
        loop = asyncio.get_running_loop()
        while self._queue and self._active < MOST_ACTIVE:
            host = self._queue.popleft()
            running = self._under_way[host]
            self._active += 1
            running.timer = loop.call_later(self._patience, self._lose_patience, host, running)
            # No pool: the interpreter waits at its end for a pool's threads, and these may hang.
            threading.Thread(
                target=self._run, args=(loop, host), name="name look-up", daemon=True
            ).start()

    def _lose_patience(self, host: str, running: _Running) -> None:
        """The system has not answered: those who wait hear it, and the next name has its turn."""
        running.is_overdue = True
        self._active -= 1
        running.answer.set_result(
            NameNotResolved(
                f"its host's name was not resolved within {self._patience:g} s; check the machine's"
                " name servers"
            )
        )
        self._begin()

    def _run(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        """In a thread of its own."""
        told: tuple[str, ...] | NameNotResolved
        try:
            told = tuple(self._look_up(host)[:MOST_ADDRESSES]) or _unknown()
        except (OSError, UnicodeError):
            told = _unknown()
        except Exception as error:  # those who wait must hear of it, too
            told = NameNotResolved(f"its host's name could not be looked up ({error!r})")
        try:
            loop.call_soon_threadsafe(self._answered, host, told)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _answered(self, host: str, told: tuple[str, ...] | NameNotResolved) -> None:
        running = self._under_way.pop(host)
        if running.timer is not None:
            running.timer.cancel()
        if not running.is_overdue:
            self._active -= 1
            running.answer.set_result(told)
        holds = FAILED_FOR if isinstance(told, NameNotResolved) else self._found_for
        self._remembered.pop(host, None)
        if holds > 0:
            if len(self._remembered) >= MOST_REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[host] = (self._clock() + holds, told)
        self._begin()


def _unknown() -> NameNotResolved:
    return NameNotResolved("its host's name cannot be resolved; check the url")
