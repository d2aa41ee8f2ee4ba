"""Looking up names: shared, remembered, bounded, and never held up by names that hang."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from pusher_server import resolving
from pusher_server.resolving import NameNotResolved, Resolver, system_look_up


class Names:
    """A look-up by script. Those whose name begins with "hang" block until `release`."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.known: dict[str, Sequence[str]] = {"a.example": ["192.0.2.1", "192.0.2.2"]}
        self.released = threading.Event()

    def __call__(self, host: str) -> Sequence[str]:
        self.asked[host] += 1
        if host.startswith("hang"):
            self.released.wait()
        if host not in self.known:
            raise OSError("nobody knows it")
        return self.known[host]


@pytest.fixture
def names() -> Iterator[Names]:
    made = Names()
    yield made
    made.released.set()


async def test_who_asks_at_the_same_time_shares_one_look_up(names: Names) -> None:
    resolver = Resolver(names)
    found = await asyncio.gather(*(resolver.addresses("a.example") for _ in range(50)))
    assert set(found) == {("192.0.2.1", "192.0.2.2")}
    assert names.asked == {"a.example": 1}


async def test_answers_are_remembered_for_a_moment_and_failures_for_a_shorter_one(
    names: Names,
) -> None:
    now = 100.0
    resolver = Resolver(names, clock=lambda: now)
    for _ in range(2):
        await resolver.addresses("a.example")
        with pytest.raises(NameNotResolved, match="cannot be resolved"):
            await resolver.addresses("nobody.example")
    assert names.asked == {"a.example": 1, "nobody.example": 1}
    now += resolving.FAILED_FOR
    names.known["nobody.example"] = ["192.0.2.9"]
    assert await resolver.addresses("nobody.example") == ("192.0.2.9",)
    assert names.asked["a.example"] == 1
    now += resolving.FOUND_FOR
    await resolver.addresses("a.example")
    assert names.asked["a.example"] == 2


async def test_what_is_remembered_is_bounded(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "MOST_REMEMBERED", 3)
    names.known = {f"{number}.example": ["192.0.2.1"] for number in range(5)}
    resolver = Resolver(names)
    for host in names.known:
        await resolver.addresses(host)
    for host in names.known:
        await resolver.addresses(host)
    assert len(resolver._remembered) == 3
    many = Resolver(lambda host: ["192.0.2.1"] * 1_000)
    assert len(await many.addresses("many.example")) == resolving.MOST_ADDRESSES


async def test_literal_addresses_ask_nobody(names: Names) -> None:
    resolver = Resolver(names)
    for literal in ("192.0.2.7", "2001:db8::1", "fe80::1%eth0"):
        assert await resolver.addresses(literal) == (literal,)
    assert not names.asked


async def test_more_names_that_hang_than_may_run_do_not_stop_others(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolving, "MOST_ACTIVE", 4)
    resolver = Resolver(names, patience=0.2)
    hanging = [asyncio.create_task(resolver.addresses(f"hang-{each}")) for each in range(12)]
    async with asyncio.timeout(10):
        assert await resolver.addresses("a.example") == ("192.0.2.1", "192.0.2.2")
        answers = await asyncio.gather(*hanging, return_exceptions=True)
    assert {str(each) for each in answers} == {
        "its host's name was not resolved within 0.2 s; check the machine's name servers"
    }
    with pytest.raises(NameNotResolved, match=r"not resolved within 0\.2 s"):
        async with asyncio.timeout(0.1):
            await resolver.addresses("hang-1")
    assert max(names.asked.values()) == 1, "a name that hangs keeps one thread"


async def test_a_name_that_hung_is_known_once_the_system_has_answered(names: Names) -> None:
    resolver = Resolver(names, patience=0.05)
    with pytest.raises(NameNotResolved):
        await resolver.addresses("hang")
    names.known["hang"] = ["192.0.2.3"]
    names.released.set()
    async with asyncio.timeout(10):
        while True:
            try:
                assert await resolver.addresses("hang") == ("192.0.2.3",)
                break
            except NameNotResolved:
                await asyncio.sleep(0.01)
    assert names.asked["hang"] == 1


async def test_threads_are_bounded(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "MOST_UNDER_WAY", 5)
    resolver = Resolver(names, patience=0.05)
    for number in range(5):
        with pytest.raises(NameNotResolved):
            await resolver.addresses(f"hang-{number}")
    with pytest.raises(NameNotResolved, match="5 other host names are being looked up"):
        await resolver.addresses("a.example")
    names.released.set()
    async with asyncio.timeout(10):
        while resolver._under_way:  # noqa: ASYNC110 - threads answer when they do
            await asyncio.sleep(0.01)
    assert await resolver.addresses("a.example")


async def test_a_crowd_of_names_that_hang_delays_no_name_that_is_known_to_answer(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are tenants' own words: somebody may write hundreds that hang, and again when they are given up."""
    monkeypatch.setattr(resolving, "MOST_ACTIVE", 8)
    monkeypatch.setattr(resolving, "MOST_UNDER_WAY", 64)
    resolver = Resolver(names, patience=0.5, found_for=0.0)
    await resolver.addresses("a.example")
    hanging = [asyncio.create_task(resolver.addresses(f"hang-{each}")) for each in range(200)]
    for _ in range(20):
        async with asyncio.timeout(0.25):
            assert await resolver.addresses("a.example") == ("192.0.2.1", "192.0.2.2")
        await asyncio.sleep(0.1)
    assert any(each.done() for each in hanging)
    for each in hanging:
        each.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert len(names.asked) - 1 < 64, "hanging threads leave room for others"


async def test_a_name_is_asked_for_again_when_there_was_no_thread_for_it(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number may be limited, by a container for instance."""
    now = 100.0
    resolver = Resolver(names, clock=lambda: now)

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(NameNotResolved, match="no thread"):
            await resolver.addresses("a.example")
    now += resolving.FAILED_FOR
    assert await resolver.addresses("a.example") == ("192.0.2.1", "192.0.2.2")


async def test_who_gives_up_does_not_take_others_with_him(names: Names) -> None:
    resolver = Resolver(names)
    names.known["hang"] = ["192.0.2.3"]
    impatient = asyncio.create_task(resolver.addresses("hang"))
    patient = asyncio.create_task(resolver.addresses("hang"))
    await asyncio.sleep(0)
    impatient.cancel()
    names.released.set()
    assert await patient == ("192.0.2.3",)
    assert impatient.cancelled()


@pytest.mark.parametrize(
    ("host", "address"),
    [("2130706433", "127.0.0.1"), ("0x7f000001", "127.0.0.1"), ("0177.1", "127.0.0.1")],
)
def test_the_system_knows_odd_spellings_of_addresses(host: str, address: str) -> None:
    assert system_look_up(host) == [address]


async def test_what_no_resolver_takes_is_a_name_that_is_not_known() -> None:
    with pytest.raises(NameNotResolved):
        await Resolver().addresses("a" * 70 + ".example")
