"""The image's health check, run as it stands in the Containerfile against a server and against none."""

import os
import subprocess
import sys
from pathlib import Path

from tests.edge.test_operations import operated
from tests.support import containers
from tests.support.serving import free_port


def check(port: int) -> subprocess.CompletedProcess[str]:
    """Run the check for an operations port; it ends by itself."""
    program, *arguments = containers.health_check()
    assert program == "python3"
    variables = {
        "PUSHER_SERVER__OPERATIONS__PORT": str(port),
        "http_proxy": f"http://127.0.0.1:{free_port()}",  # a check of the process itself asks no proxy
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=20,
    )


async def test_a_server_that_lives_is_healthy_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    async with operated(tmp_path) as (_, operations):
        alive = check(operations.port)
        assert (alive.returncode, alive.stdout, alive.stderr) == (0, "", "")
    assert check(operations.port).returncode != 0


def test_without_a_variable_it_asks_the_default_port() -> None:
    code = containers.health_check()[-1]
    assert "os.environ.get('PUSHER_SERVER__OPERATIONS__PORT', 9601)" in code
