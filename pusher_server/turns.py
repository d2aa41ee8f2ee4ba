"""How much of one connection's input is served in one turn of the event loop.

A flood of small things must not be felt by others. So an edge does its work in steps and says what each has
cost in units: frames, fragments, requests, header lines, pieces of bodies. Past the bound it stops reading,
and a `Backlog` goes on in the next turns, behind everybody else's input.
"""

from collections.abc import Callable, Iterator

#: Frames or parts of requests in one turn. A refused message or a subscription takes 10 to 30 µs.
UNITS = 64
#: Bytes in one turn: what asyncio reads at once. With 65,536 a body of 10 MB took a fifth more CPU.
BYTES = 262_144
#: Behind a longer piece nothing more is read in its turn: uvloop goes on after a full one, of 256,000 bytes,
#: up to 8 MB in all.
LARGE = 131_072
#: What a whole request counts for: a signed publication takes some 60 µs.
REQUEST_UNITS = 4

#: Serves a piece of input lazily, a step for each `next`, and yields what the step has cost in units.
Steps = Callable[[bytes], Iterator[int]]


def exhausted(steps: Iterator[int]) -> bool:
    """Take steps up to the bound of a turn; False when it was reached and some may be left."""
    done = 0
    for units in steps:
        done += units
        if done >= UNITS:
            return False
    return True


class Backlog:
    """One connection's input beyond a turn's bound; made only when there is some.

    `begun` are steps that are not exhausted, `rest` the input behind them. `call_soon` runs a callback in the
    next turn. `blocked` says that input must wait for something else; call `go_on` when that is over. When all
    is served, `finished` is called, in a turn of its own: reading on in the turn of the last portion would make
    that a larger one.
    """

    __slots__ = (
        "_at",
        "_begun",
        "_blocked",
        "_call_soon",
        "_dropped",
        "_finished",
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
        #: Input, and where the part of it begins that no steps have begun on.
        self._rest = rest
        self._at = 0
        self._call_soon = call_soon
        self._blocked = blocked
        self._finished = finished
        self._scheduled = False
        self._dropped = False
        self.go_on()

    def add(self, data: bytes) -> None:
        """Input that came although reading was paused: what a TLS layer had already decrypted."""
        self._rest, self._at = self.rest + data, 0
        self.go_on()

    def go_on(self) -> None:
        """Serve the next portion in the next turn."""
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._turn)

    @property
    def rest(self) -> bytes:
        """The input that no steps have begun on."""
        return self._rest[self._at :]

    def drop(self) -> None:
        """Forget what is left: it no longer has a meaning."""
        self._begun = None
        self._rest, self._at = b"", 0
        self._dropped = True

    def _turn(self) -> None:
        self._scheduled = False
        if self._dropped or self._blocked():
            return
        if self._begun is None:
            if self._at >= len(self._rest):
                self._finished()
                return
            piece = self._rest[self._at : self._at + BYTES]
            self._at += len(piece)
            self._begun = self._steps(piece)
        if exhausted(self._begun):
            self._begun = None
        self.go_on()
