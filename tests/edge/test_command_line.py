"""The command line as a process of its own: what it loads, and `python -m pusher_server`."""

import subprocess
import sys
from pathlib import Path

import pytest

from pusher_server import __version__
from tests.support.inprocess import app
from tests.support.serving import RunningServer
from tests.support.waiting import block_until


def python(*arguments: str) -> str:
    """What a fresh interpreter prints."""
    run = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("command", [[], ["serve"], ["check-config"]])
def test_help_is_quick_because_it_loads_no_server(command: list[str]) -> None:
    code = (
        "import sys; from pusher_server.cli.main import main\n"
        f"main({[*command, '--help']!r}, standalone_mode=False)\n"
        "print(sorted({'uvicorn', 'starlette', 'asyncio'} & set(sys.modules)))"
    )
    assert python("-c", code).splitlines()[-1] == "[]"


def test_the_package_itself_can_be_run() -> None:
    assert python("-m", "pusher_server", "version") == f"{__version__}\n"


def test_a_worker_loads_nothing_for_pages_that_its_supervisor_has() -> None:
    code = (
        "import sys; import pusher_server.processes.worker\n"
        "print(sorted({'uvicorn', 'starlette.applications', 'prometheus_client'} & set(sys.modules)))"
    )
    assert python("-c", code).splitlines()[-1] == "['uvicorn']"


def test_a_worker_without_redis_loads_no_client_of_it() -> None:
    """redis-py takes 0.05 s and 6 MB (docs/decisions.md#one-way-to-redis)."""
    code = (
        "import sys; import pusher_server.processes.worker\n"
        "from pusher_server.config import Config\n"
        "from pusher_server.server import Server\n"
        "Server(Config())\n"
        "print(sorted({'redis', 'hiredis'} & set(sys.modules)))"
    )
    assert python("-c", code).splitlines()[-1] == "[]"


def test_a_start_with_risky_settings_warns_once_for_all_workers(tmp_path: Path) -> None:
    settings = {"server": {"workers": 2}, "apps": [app(secret="s")]}
    with RunningServer(tmp_path, settings) as server:
        words = "has 1 character and can be guessed"
        block_until(lambda: words in server.log)
    assert server.log.count(words) == 1
    assert "can be read" not in server.log  # its file is its owner's alone
