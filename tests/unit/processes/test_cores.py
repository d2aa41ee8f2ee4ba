"""What `workers` means on this machine."""

import os
from pathlib import Path

import pytest

from pusher_server.config import ServerSettings
from pusher_server.errors import ConfigError
from pusher_server.processes import cores
from pusher_server.processes.cores import usable_cores, worker_count


@pytest.fixture
def sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.usefixtures("sixteen")
@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("200000 100000\n", 2),
        ("250000 100000\n", 3),
        ("10000 100000\n", 1),
        ("6400000 100000\n", 16),
        ("max 100000\n", 16),
        ("", 16),
        ("nonsense", 16),
        ("1 0", 16),
    ],
)
def test_a_containers_share_counts(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path / "cpu.max") == expected


@pytest.mark.usefixtures("sixteen")
def test_without_a_quota_the_scheduler_says(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "missing") == 16


def test_where_the_scheduler_does_not_say_all_cores_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores(tmp_path / "missing") == 1


def test_a_number_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also as text, as the environment and the command line give it."""
    monkeypatch.setattr(cores, "usable_cores", lambda: 5)
    found = [worker_count(ServerSettings(workers=each)) for each in (1, 3, "7", "auto")]
    assert found == [1, 3, 7, 5]


def test_other_systems_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores.os, "name", "nt")
    assert worker_count(ServerSettings(workers=1)) == 1
    with pytest.raises(ConfigError, match=r"server\.workers: is 2; only 1 works"):
        worker_count(ServerSettings(workers=2))
