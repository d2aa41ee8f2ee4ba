"""How much of one connection's input is served in one turn of the event loop.

A flood of small inputs must not delay other connections. So an edge does its work in steps and yields the cost
of each in units: frames, fragments, requests, header lines, pieces of bodies. Past the bound it stops reading,
and a `Backlog` goes on in the next turns, behind the input of all others.
"""

from collections.abc import Callable, Iterator

#: Frames or parts of requests in one turn. A refused message or a subscription takes 10 to 30 µs.
UNITS = 64
#: Bytes in one turn: what asyncio reads at once. With 65,536 a body of 10 MB took a fifth more CPU.
BYTES = 262_144
#: So many count for one unit more. Half of `BYTES` ends a turn: uvloop goes on after a full piece, of 256,000
#: bytes, up to 8 MB in all.
BYTES_PER_UNIT = BYTES // 2 // UNITS
#: Units of a whole request: a signed publication takes some 60 µs.
REQUEST_UNITS = 4
#: Units of a subscription or a sign-in: some 30 µs alone, and in a cluster commands to a store on top.
SUBSCRIPTION_UNITS = 4

#: Serves a piece of input lazily, a step for each `next`, and yields what the step has cost in units.
Steps = Callable[[bytes], Iterator[int]]


def take(steps: Iterator[int]) -> int:
    """Take steps up to the bound of a turn, and return their cost; some may be left when it was reached."""
    done = 0
    for units in steps:
        done += units
        if done >= UNITS:
            break
    return done


class Backlog:
    """One connection's input beyond a turn's bound; made only when there is some.

    `begun` are steps that are not exhausted, `rest` the input behind them. `call_soon` runs a callback in the
    next turn. `blocked` says that input must wait for something else; call `go_on` when that is over. When all
    is served, `finished` is called in a turn of its own. To read on in the turn of the last portion would
    make that turn larger.
    """

    __slots__ = (
        "_at",
        "_begun",
        "_blocked",
        "_call_soon",
        "_dropped",
        "_finished",
        "_later",
        "_rest",
        "_scheduled",
        "_steps",
    )

    def __init__(
        self,
        steps: Steps,
        begun: Iterator[int] | None,
        rest: bytes,
        call_soon: Callable[[Callable[[], None]], object],
        blocked: Callable[[], bool],
        finished: Callable[[], None],
    ) -> None:
        self._steps = steps
        self._begun = begun
        #: Input, and where the part of it begins that no steps have begun on; then what came since. A TLS layer
        #: hands over thousands of tiny pieces in a turn, and each must cost its own bytes only.
        self._rest = rest
        self._at = 0
        self._later = bytearray()
        self._call_soon = call_soon
        self._blocked = blocked
        self._finished = finished
        self._scheduled = False
        self._dropped = False
        self.go_on()

    def add(self, data: bytes) -> None:
        """Keep input that came although reading was paused, because a TLS layer had already decrypted it."""
        self._later += data
        self.go_on()

    def go_on(self) -> None:
        """Serve the next portion in the next turn."""
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)

    @property
    def rest(self) -> bytes:
        """The input that no steps have begun on."""
        return self._rest[self._at :] + self._later

    @property
    def rest_bytes(self) -> int:
        """How much that is."""
        return len(self._rest) - self._at + len(self._later)

    def drop(self) -> None:
        """Forget what is left: it no longer has a meaning."""
        self._begun = None
        self._rest, self._at = b"", 0
        self._later.clear()
        self._dropped = True

    def _turn(self) -> None:
        self._scheduled = False
        if self._dropped or self._blocked():
            return
        if self._begun is None:
            if self._at >= len(self._rest):
                self._rest, self._at = bytes(self._later), 0
                self._later.clear()
            if not self._rest:
                self._finished()
                return
            piece = self._rest[self._at : self._at + BYTES]
            self._at += len(piece)
            self._begun = self._steps(piece)
        if take(self._begun) < UNITS:
            self._begun = None
        self.go_on()


class PacedInput:
    """A connection whose input is served in steps; subclasses define the steps and how reading stops.

    A transport may hand over several pieces in one turn. A plain one does so only after full pieces, which end
    the turn anyway. A TLS layer hands over decrypted pieces of any size. So there the pieces add up until
    the connection has rested for a turn.
    """

    __slots__ = ("_is_layered", "_spent", "backlog")

    def __init__(self) -> None:
        #: Input that could not be served in one turn; nothing is read until it is.
        self.backlog: Backlog | None = None
        self._is_layered = False
        self._spent = 0

    def layered(self) -> None:
        """The input comes through a TLS layer."""
        self._is_layered = True

    def serve(self, data: bytes, *, is_late: bool = False) -> None:
        """Serve it, in this turn or the next ones; `is_late` when this turn has done enough already."""
        if self.backlog is not None:
            self.backlog.add(data)
        elif len(data) > BYTES or is_late:
            self._put_off(None, data)
        else:
            units = take(steps := self._steps(data))
            self._account(units, len(data), steps if units >= UNITS else None)

    def forget_rest(self) -> None:
        """The connection is gone, so what is left of its input has no meaning."""
        backlog, self.backlog = self.backlog, None
        if backlog is not None:
            backlog.drop()

    def _account(self, units: int, size: int, begun: Iterator[int] | None) -> None:
        """So much was done; rest for a turn if that is enough."""
        units += size // BYTES_PER_UNIT
        if self._is_layered:
            units = self._spent = self._spent + units
        if units >= UNITS:
            self._put_off(begun, b"")

    def _put_off(self, begun: Iterator[int] | None, rest: bytes) -> None:
        self._spent = 0
        if self._hold():
            self.backlog = Backlog(
                self._steps, begun, rest, self._call_soon, self._is_blocked, self._caught_up
            )

    def _steps(self, data: bytes) -> Iterator[int]:
        """Serve a piece lazily, a step for each `next`, and yield what the step has cost in units."""
        raise NotImplementedError

    def _hold(self) -> bool:
        """Read no more; False when the transport is closing, so that what is left has no meaning."""
        raise NotImplementedError

    def _call_soon(self, callback: Callable[[], None]) -> object:
        """Run it in the next turn."""
        raise NotImplementedError

    def _is_blocked(self) -> bool:
        """Whether input must wait for something else than its turn."""
        raise NotImplementedError

    def _caught_up(self) -> None:
        """All is served: read on."""
        raise NotImplementedError
