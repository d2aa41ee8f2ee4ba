"""The image's health check, run as it stands in the Containerfile against a server and against none."""

import os
import subprocess
import sys
from pathlib import Path

from tests.edge.test_operations import operated
from tests.support import containers
from tests.support.serving import free_port


def check(folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the check in a folder, as in the image's; it ends by itself."""
    program, *arguments = containers.health_check()
    assert program == "python3"
    proxy = {"http_proxy": f"http://127.0.0.1:{free_port()}"}  # it asks the process itself
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **proxy, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
    )


async def test_a_server_that_lives_is_healthy_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    """Wherever its port is set: in a variable of ours, in one of soketi's, in the mounted file."""
    folder = tmp_path / "etc"
    folder.mkdir()
    async with operated(tmp_path) as (_, operations):
        port = operations.port
        ours = {"PUSHER_SERVER__OPERATIONS__PORT": str(port)}
        soketis = {"SOKETI_METRICS_SERVER_PORT": str(port)}
        for variables in (ours, soketis):
            alive = check(folder, variables)
            assert (alive.returncode, alive.stdout, alive.stderr) == (0, "", "")
        (folder / "pusher-server.toml").write_text(f"[operations]\nport = {port}\n", "utf-8")
        assert check(folder, {}).returncode == 0
        # soketi's variable is set, and the server was started without it.
        assert check(folder, {"SOKETI_METRICS_SERVER_PORT": str(free_port())}).returncode == 0
    gone = check(folder, ours)
    assert gone.returncode == 1
    assert gone.stderr.startswith(f"no server that lives is at 127.0.0.1:{port}; set ")


def test_it_imports_the_standard_library_only() -> None:
    """It runs every 30 seconds beside the server, in the same memory."""
    code = "import sys, pusher_server.cli.container_health; print(*sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    modules = {name.partition(".")[0] for name in printed.stdout.split()}
    assert modules.isdisjoint({"msgspec", "click", "uvicorn", "httptools", "redis", "httpx"})
