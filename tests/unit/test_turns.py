"""How much of one connection's input is served in one turn, and that the rest follows."""

from collections.abc import Callable, Iterator

from pusher_server.turns import BYTES, BYTES_PER_UNIT, UNITS, Backlog, PacedInput, take
from tests.support.fakes import FakeCallSoon


def test_steps_are_taken_up_to_the_bound() -> None:
    steps = iter([1] * (UNITS + 1))
    assert take(steps) == UNITS
    assert list(steps) == [1]
    assert take(iter([1] * (UNITS - 1))) == UNITS - 1
    dear = iter([UNITS - 1, UNITS, 1])
    assert take(dear) == 2 * UNITS - 1
    assert list(dear) == [1]


class Peer:
    """A connection whose bytes are one unit each."""

    def __init__(self) -> None:
        self.loop = FakeCallSoon()
        self.served = bytearray()
        self.blocked = False
        self.finished = 0
        self.largest = 0

    def steps(self, data: bytes) -> Iterator[int]:
        for byte in data:
            self.served.append(byte)
            yield 1

    def backlog(self, begun: Iterator[int] | None, rest: bytes) -> Backlog:
        return Backlog(
            self.steps,
            begun,
            rest,
            call_soon=self.loop,
            blocked=lambda: self.blocked,
            finished=self._finish,
        )

    def _finish(self) -> None:
        self.finished += 1

    def turns(self, until: Callable[[], bool]) -> int:
        """Run turns until then; how many it took. Remembers the largest."""
        count = 0
        while not until():
            before = len(self.served)
            self.loop.turn()
            self.largest = max(self.largest, len(self.served) - before)
            count += 1
            assert count < 100_000
        return count


def test_what_is_left_follows_in_order_a_portion_each_turn() -> None:
    peer = Peer()
    data = bytes(range(256)) * 3
    begun = peer.steps(data[:300])
    assert take(begun) == UNITS
    peer.backlog(begun, data[300:])
    peer.turns(lambda: peer.finished == 1)
    assert peer.served == data
    assert peer.largest == UNITS
    assert not peer.loop.callbacks


def test_bytes_are_bounded_as_well() -> None:
    peer = Peer()
    pieces: list[int] = []

    def steps(data: bytes) -> Iterator[int]:
        pieces.append(len(data))
        yield 1

    Backlog(
        steps,
        None,
        bytes(2 * BYTES + 5),
        call_soon=peer.loop,
        blocked=lambda: False,
        finished=peer._finish,
    )
    turns = peer.turns(lambda: peer.finished == 1)
    assert pieces == [BYTES, BYTES, 5]
    assert turns == 4, "reading goes on in a turn of its own"


def test_it_waits_while_it_is_blocked() -> None:
    peer = Peer()
    peer.blocked = True
    backlog = peer.backlog(None, b"abc")
    peer.loop.turn()
    assert (bytes(peer.served), list(peer.loop.callbacks)) == (b"", [])
    peer.blocked = False
    backlog.go_on()
    backlog.go_on()
    peer.turns(lambda: peer.finished == 1)
    assert peer.served == b"abc"


def test_what_comes_meanwhile_is_served_behind_it() -> None:
    peer = Peer()
    backlog = peer.backlog(None, b"ab")
    backlog.add(b"cd")
    peer.turns(lambda: peer.finished == 1)
    assert peer.served == b"abcd"


def test_what_waits_is_not_copied_for_each_piece_behind_it() -> None:
    """7,000 pieces of 8 bytes behind 200 kB took half a second when it was, and take a millisecond."""
    peer = Peer()
    backlog = peer.backlog(None, bytes(BYTES))
    waiting = backlog._rest
    for _ in range(3):
        backlog.add(b"12345678")
        assert backlog._rest is waiting
    assert backlog.rest_bytes == BYTES + 24
    assert backlog.rest == bytes(BYTES) + b"12345678" * 3


def test_nothing_is_served_once_it_is_dropped() -> None:
    peer = Peer()
    backlog = peer.backlog(peer.steps(b"ab"), b"cd")
    backlog.drop()
    peer.loop.turn()
    assert (bytes(peer.served), peer.finished, list(peer.loop.callbacks)) == (b"", 0, [])


class Line(PacedInput):
    """A connection whose bytes are one unit each, but for `x`, which is none."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = FakeCallSoon()
        self.served = bytearray()
        self.is_read = True

    def _steps(self, data: bytes) -> Iterator[int]:
        self.served += data[: len(data) - len(data.lstrip(b"x"))]
        for byte in data.lstrip(b"x"):
            self.served.append(byte)
            yield 1

    def _hold(self) -> bool:
        self.is_read = False
        return True

    def _call_soon(self, callback: Callable[[], None]) -> object:
        return self.loop(callback)

    def _is_blocked(self) -> bool:
        return False

    def _caught_up(self) -> None:
        self.backlog = None
        self.is_read = True


def test_a_turn_ends_with_its_units() -> None:
    line = Line()
    line.serve(b"a" * (UNITS - 1))
    assert line.is_read
    line.serve(b"b" * (UNITS + 5))
    assert (len(line.served), line.is_read) == (2 * UNITS - 1, False)
    line.loop.run()
    assert (len(line.served), line.is_read) == (2 * UNITS + 4, True)


def test_behind_a_large_piece_nothing_is_read_in_its_turn() -> None:
    line = Line()
    line.serve(b"x" * (BYTES // 2 - BYTES_PER_UNIT))
    assert line.is_read
    line.serve(b"x" * (BYTES // 2))
    assert (len(line.served), line.is_read) == (BYTES - BYTES_PER_UNIT, False)
    line.loop.run()
    assert line.is_read


def test_pieces_of_a_tls_layer_add_up() -> None:
    """There may be many in one turn."""
    line = Line()
    line.layered()
    while line.is_read:
        line.serve(b"abcde")
        assert len(line.served) < UNITS + 5
    line.loop.run()
    line.serve(b"abcde")
    assert line.is_read, "after a rest it begins anew"
    size = 10 * BYTES_PER_UNIT
    for _ in range(7):
        line.serve(b"x" * size)
    assert not line.is_read


def test_what_comes_late_waits() -> None:
    line = Line()
    line.serve(b"abc", is_late=True)
    assert (bytes(line.served), line.is_read) == (b"", False)
    line.loop.run()
    assert (bytes(line.served), line.is_read) == (b"abc", True)
