"""Who takes part: other people's servers by one word, ours by a config of its own."""

import tomllib
from pathlib import Path

import pytest

from benchmarks.load import contestants
from benchmarks.load.contestants import Access


def test_a_running_server_joins_by_one_word() -> None:
    other = contestants.running("reverb=127.0.0.1:8080:id:key:secret:4711")
    assert (other.name, other.pid, other.command) == ("reverb", 4711, [])
    assert other.access == Access(8080, "127.0.0.1", "id", "key", "secret")
    assert other.access.arguments[:4] == ["-a", "127.0.0.1", "-P", "8080"]


@pytest.mark.parametrize("spec", ["reverb", "reverb=1:2:3", "=127.0.0.1:8080:id:key:secret:4711"])
def test_a_word_that_says_too_little_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="NAME=host:port"):
        contestants.running(spec)


def test_our_server_has_as_many_apps_as_the_load_is_spread_over(tmp_path: Path) -> None:
    ours = contestants.ours(tmp_path, cpu=0, apps=3)
    config = tomllib.loads(Path(ours.command[ours.command.index("--config") + 1]).read_text())
    assert [app["id"] for app in config["apps"]] == ["app-id", "app-id-0", "app-id-1", "app-id-2"]
    assert config["defaults"]["limits"]["client_events_per_second"] == 0
