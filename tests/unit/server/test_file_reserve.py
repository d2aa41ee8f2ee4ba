"""Who may stay and who is let go, by numbers of files."""

import sys

import pytest

from pusher_server.server import file_reserve
from pusher_server.server.file_reserve import FileReserve


class Client:
    """Remembers what was done to it."""

    def __init__(self) -> None:
        self.closed = 0
        self.aborted = 0

    def end(self) -> None:
        self.closed += 1

    def abort(self) -> None:
        self.aborted += 1


class Place:
    """A reserve over plain collections, and a clock to set."""

    def __init__(self, limit: int) -> None:
        self.now = 1_000.0
        self.clients: list[Client] = []
        self.idle: dict[Client, float] = {}
        self.refused: dict[Client, None] = {}
        self.sizes: list[int] = []
        self.pressed = 0
        self.reserve = FileReserve(
            idle=self.idle,
            refused=self.refused,
            clock=lambda: self.now,
            resized=self.sizes.append,
        )
        self.reserve.connections = self.clients
        self.reserve.on_pressure = self._press
        self.reserve.limit_to(limit)

    def _press(self) -> None:
        self.pressed += 1

    def look(self, seconds: float) -> None:
        """Make room again and again, for so long."""
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            self.reserve.make_room()

    def add(self, count: int) -> list[Client]:
        """Clients that have asked for something."""
        found = [Client() for _ in range(count)]
        self.clients += found
        return found


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many the kernel says are open."""
    number = {"open": 0}
    monkeypatch.setattr(file_reserve, "open_files", lambda listing: number["open"])
    return number


@pytest.mark.parametrize(
    ("limit", "capacity"), [(128, 64), (1_024, 960), (64, 32), (10, 5), (0, sys.maxsize)]
)
def test_the_reserve_is_64_files_and_never_more_than_half(limit: int, capacity: int) -> None:
    place = Place(limit)
    assert place.reserve.capacity == capacity
    assert place.sizes[-1] == capacity


def test_without_a_limit_everybody_may_come(files: dict[str, int]) -> None:
    place = Place(0)
    place.add(5_000)
    files["open"] = 6_000
    place.reserve.measure()
    place.reserve.came(Client())
    assert not place.pressed
    assert not place.reserve.is_used_up
    assert place.reserve.has_room


def test_idle_api_connections_go_first_and_the_oldest_of_them() -> None:
    place = Place(128)
    idle = place.add(70)
    place.idle.update(dict.fromkeys(idle, 0.0))
    place.reserve.make_room()
    assert [each.closed for each in idle] == [1] * 6 + [0] * 64
    assert not any(each.aborted for each in idle)


def test_then_whoever_was_refused_or_says_nothing_but_only_after_a_while() -> None:
    place = Place(128)
    (refused,) = place.add(1)
    place.refused[refused] = None
    place.add(64)
    silent = place.add(31)
    place.reserve.silent.update(dict.fromkeys(silent))
    place.look(0.2)
    assert not refused.aborted
    place.look(0.1)
    assert refused.aborted
    assert all(each.aborted for each in silent)


def test_nobody_is_cut_while_others_can_come_in() -> None:
    place = Place(128)
    place.add(64)
    place.reserve.silent.update(dict.fromkeys(place.add(31)))
    place.look(60.0)
    assert not any(each.aborted for each in place.clients)


def test_time_in_which_we_were_late_does_not_count() -> None:
    place = Place(128)
    place.add(64)
    place.reserve.silent.update(dict.fromkeys(place.add(32)))
    for _ in range(4):
        place.now += 10.0
        place.reserve.make_room()
    assert not any(each.aborted for each in place.clients)


def test_handshakes_count_as_clients_and_have_longer() -> None:
    place = Place(128)
    place.add(60)
    arriving = [Client() for _ in range(36)]
    place.reserve.arriving.update(dict.fromkeys(arriving))
    assert place.reserve.clients == 96
    assert place.reserve.is_used_up
    place.look(0.4)
    assert not any(each.aborted for each in arriving)
    place.look(0.2)
    assert [bool(each.aborted) for each in arriving] == [True] * 32 + [False] * 4


def test_pressure_is_told_before_the_edge_and_ends_well_below_it() -> None:
    place = Place(1_024)
    place.add(943)
    place.reserve.came(Client())
    assert not place.pressed
    place.add(1)
    place.reserve.came(Client())
    assert place.pressed == 1
    assert not place.reserve.is_calm
    del place.clients[850:]
    assert place.reserve.is_calm


def test_what_others_use_beyond_the_reserve_is_taken_from_clients(files: dict[str, int]) -> None:
    place = Place(256)
    place.add(100)
    files["open"] = 120
    place.reserve.measure()
    assert place.reserve.capacity == 192
    files["open"] = 100 + 80
    place.reserve.measure()
    assert place.reserve.capacity == 256 - 80 - 32 - 8
    assert place.sizes[-1] == place.reserve.capacity
    files["open"] = 100 + 300
    place.reserve.measure()
    assert place.reserve.capacity == 0
    files["open"] = 0  # unknown: as it was
    place.reserve.measure()
    assert place.reserve.capacity == 0


def test_a_look_at_very_many_costs_no_more_than_at_some() -> None:
    """Accepting looks every few milliseconds while nobody else may come in."""
    looks = 0

    class Counted(Client):
        def __hash__(self) -> int:
            nonlocal looks
            looks += 1
            return super().__hash__()

    def looks_at(count: int) -> int:
        nonlocal looks
        place = Place(count)
        place.clients += [Counted() for _ in range(count)]
        place.reserve.silent.update(dict.fromkeys(place.clients))
        looks = 0
        place.look(1.0)
        assert sum(each.aborted for each in place.clients) > 100
        return looks

    assert looks_at(40_000) < 2 * looks_at(4_000)
