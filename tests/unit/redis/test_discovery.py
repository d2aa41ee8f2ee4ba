"""Which master Sentinels name and which owner a slot has, from answers as Redis documents them."""

from collections.abc import Mapping
from typing import Any

import pytest

from pusher_server.config.redis import RedisAddress, RedisSettings
from pusher_server.redis import discovery
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.discovery import SentinelMaster, SlotOwners
from pusher_server.redis.errors import RedisUnavailable
from pusher_server.redis.greeting import ServerKind

A, B = [b"10.0.0.1", b"6379"], [b"10.0.0.2", b"6379"]
AWAY = RedisUnavailable("away")


class Answers:
    """Stands for the network: what each server answers, and who was asked."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self.answers = dict(answers)
        self.asked: list[tuple[str, ServerKind, tuple[str, ...]]] = []

    async def send_query(
        self, access: RedisAccess, server: RedisAddress, kind: ServerKind, *command: str
    ) -> Any:
        self.asked.append((server.host, kind, command))
        answer = self.answers[server.host]
        if isinstance(answer, Exception):
            raise answer
        return answer


def network(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, Any]) -> Answers:
    made = Answers(answers)
    monkeypatch.setattr(discovery, "send_query", made.send_query)
    return made


def named(*hosts: str) -> tuple[RedisAddress, ...]:
    return tuple(RedisAddress(host) for host in hosts)


ACCESS = RedisAccess(RedisSettings(url="redis://unused"))


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([A], "10.0.0.1:6379"),
        ([A, A, B], "10.0.0.1:6379"),
        ([B, A, A], "10.0.0.1:6379"),
        ([B, AWAY, A, A, A], "10.0.0.1:6379"),
        ([AWAY, AWAY, B], "10.0.0.2:6379"),
        ([AWAY, AWAY, AWAY, A, B, B, AWAY, AWAY], "10.0.0.2:6379"),
        ([None, A, A], "10.0.0.1:6379"),
        ([[b"10.0.0.3"], A, A], "10.0.0.1:6379"),
    ],
)
async def test_most_of_the_sentinels_that_answer_decide(
    monkeypatch: pytest.MonkeyPatch, answers: list[Any], found: str
) -> None:
    hosts = [f"s{number}" for number in range(len(answers))]
    asked = network(monkeypatch, dict(zip(hosts, answers, strict=True))).asked
    assert str(await SentinelMaster(ACCESS, named(*hosts), "m").find()) == found
    assert {each[1:] for each in asked} == {
        (ServerKind.SENTINEL, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m"))
    }


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (AWAY, "no Sentinel can be asked: away"),
        (None, "the Sentinel at s:6379 knows no master 'm'"),
        ([], "the Sentinel at s:6379 names no address"),
        ([b"h", b"x"], "the Sentinel at s:6379 names no address"),
        (b"h:1", "the Sentinel at s:6379 names no address"),
        (7, "the Sentinel at s:6379 names no address"),
        ([b"\xff", b"1"], "the Sentinel at s:6379 names no address"),
    ],
)
async def test_why_no_master_is_found(
    monkeypatch: pytest.MonkeyPatch, answer: Any, problem: str
) -> None:
    network(monkeypatch, {"s": answer})
    with pytest.raises(RedisUnavailable) as raised:
        await SentinelMaster(ACCESS, named("s"), "m").find()
    assert problem in str(raised.value)


def row(first: int, last: int, host: bytes | None, *replicas: bytes) -> list[Any]:
    return [first, last, [host, 7_000, b"id"], *([each, 7_000, b"id"] for each in replicas)]


async def test_the_master_of_a_row_owns_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    network(
        monkeypatch, {"seed": [row(0, 99, b"a", b"r"), row(100, 100, b"b"), row(200, 300, b"c")]}
    )
    owners = SlotOwners(ACCESS, named("seed"))
    found = {slot: str(await owners.owner(slot)) for slot in (0, 99, 100, 200, 300)}
    assert found == {0: "a:7000", 99: "a:7000", 100: "b:7000", 200: "c:7000", 300: "c:7000"}
    with pytest.raises(RedisUnavailable, match="nobody in the Redis Cluster serves slot 101"):
        await owners.owner(101)


@pytest.mark.parametrize("host", [None, b"", b"?"])
async def test_a_node_that_does_not_know_its_host_is_where_it_was_asked(
    monkeypatch: pytest.MonkeyPatch, host: bytes | None
) -> None:
    network(monkeypatch, {"seed": [row(0, 99, host)]})
    assert str(await SlotOwners(ACCESS, named("seed")).owner(5)) == "seed:7000"


async def test_known_masters_are_asked_before_the_nodes_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One after the other, until one answers; the settings may name nodes that are long gone."""
    made = network(monkeypatch, {"gone": AWAY, "seed": [row(0, 99, b"a")]})
    owners = SlotOwners(ACCESS, named("gone", "seed"))
    await owners.owner(0)
    made.answers["a"] = [row(0, 99, b"b")]
    made.asked.clear()
    assert str(await owners.owner(0)) == "b:7000"
    made.answers["b"] = AWAY
    assert str(await owners.owner(0)) == "a:7000"
    assert [host for host, *_ in made.asked] == ["a", "b", "gone", "seed"]


@pytest.mark.parametrize(
    "answer",
    [
        7,
        b"x",
        [[None, 99, [b"h", 1]]],
        [[0, 99, [b"h", None]]],
        {b"a": 1},
        [[0, 99]],
        [[0, 99, []]],
        [[0, 99, [b"\xff", 1]]],
        [[0, 99, [7, 1]]],
    ],
)
async def test_an_answer_of_another_form_is_told(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    network(monkeypatch, {"odd": answer, "gone": AWAY})
    with pytest.raises(RedisUnavailable) as raised:
        await SlotOwners(ACCESS, named("odd", "gone")).owner(0)
    assert str(raised.value) == "Redis at odd:6379 does not tell its slots; away"


async def test_no_more_rows_are_kept_than_there_are_slots(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network(monkeypatch, {"seed": [row(slot, slot, b"a") for slot in range(20_000)]})
    owners = SlotOwners(ACCESS, named("seed"))
    assert str(await owners.owner(16_383)) == "a:7000"
    with pytest.raises(RedisUnavailable, match="serves slot 16384"):
        await owners.owner(16_384)
