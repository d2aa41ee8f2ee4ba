"""The image, built and run: who it runs as, what it may write, how it starts, is asked and ends."""

import os
from pathlib import Path

import httpx
import pytest

from pusher_server import __version__
from tests.conformance.api import Api
from tests.conformance.client import connected
from tests.conformance.target import Credentials, Target
from tests.deployment.images import Container, Image
from tests.support import containers
from tests.support.containers import CREDENTIALS
from tests.support.serving import free_port
from tests.support.waiting import eventually

APP = Credentials(*CREDENTIALS.values())
#: Part of the page that the server prints when it runs.
RUNS = f"pusher-server {__version__} is running"


def variables(port: int, **more: str) -> dict[str, str]:
    """The environment of a container on loopback."""
    return {
        **CREDENTIALS,
        "PUSHER_SERVER__SERVER__HOST": "127.0.0.1",
        "PUSHER_SERVER__SERVER__PORT": str(port),
        "PUSHER_SERVER__OPERATIONS__PORT": str(free_port()),
        **more,
    }


async def deliver(target: Target, app: Credentials = APP) -> None:
    """An event goes from the API to a client."""
    async with connected(target) as client, httpx.AsyncClient() as http:
        await client.subscribe("private-orders")
        await Api(target, app, http).publish("private-orders", "shipped", '{"id":1}')
        frame = await client.expect("shipped", "private-orders")
        assert frame.content == {"id": 1}


def test_it_is_small(image: Image) -> None:
    """Debian itself is most of it."""
    base = 140e6
    assert image.bytes < base + 120e6
    for name in ("pip", "gcc", "git"):
        assert not list(image.rootfs.glob(f"usr/bin/{name}")), name
    assert not list((image.rootfs / "var/lib/apt/lists").glob("*"))


def test_its_settings_are_those_of_the_containerfile(image: Image) -> None:
    assert image.settings["User"] == containers.final("USER").text
    assert image.settings["StopSignal"] == "SIGTERM"
    assert set(image.settings["ExposedPorts"]) == {"6001/tcp", "9601/tcp"}
    assert image.settings["Healthcheck"]["Test"] == ["CMD", *containers.health_check()]
    variables = dict(pair.split("=", 1) for pair in image.settings["Env"])
    assert containers.image_environment().items() <= variables.items()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_it_serves_and_drains(image: Image, tmp_path: Path, workers: str) -> None:
    """Read-only, without rights, with one process and with several, which meet in /tmp."""
    port = free_port()
    environment = variables(
        port,
        PUSHER_SERVER__SERVER__WORKERS=workers,
        PUSHER_SERVER__SERVER__DRAIN_DELAY="1",
    )
    target = Target("127.0.0.1", (port,), APP)
    with Container(image, tmp_path, f"node-{workers}", environment) as container:
        container.start(RUNS)
        await deliver(target)
        async with connected(target) as client:
            container.stop("TERM")
            await client.expect_error(4200)
            code, _ = await client.expect_close()
            assert code == 4200
        assert container.wait() == 0, container.log
    for word in ("Traceback", "warning", "Permission denied", "Read-only"):
        assert word not in container.log


def test_it_is_not_root_and_can_write_its_data_only(image: Image, tmp_path: Path) -> None:
    with Container(image, tmp_path, "rights", variables(free_port())) as container:
        container.start(RUNS)
        status = container.execute("cat", "/proc/1/status").stdout
        rows = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert rows["Uid"].split() == rows["Gid"].split() == ["10001"] * 4
        assert int(rows["CapEff"], 16) == int(rows["CapBnd"], 16) == 0
        assert rows["NoNewPrivs"] == "1"
        for folder in ("/", "/etc/pusher-server", "/opt/pusher-server", "/usr/bin"):
            assert container.execute("touch", f"{folder}/x").returncode != 0, folder
        for folder in ("/tmp", "/var/lib/pusher-server"):
            assert container.execute("touch", f"{folder}/x").returncode == 0, folder
        program = container.execute("pusher-server", "version")
        assert program.stdout == f"{__version__}\n"


async def test_its_health_check_follows_the_server(image: Image, tmp_path: Path) -> None:
    check = containers.health_check()
    environment = variables(free_port())
    with Container(image, tmp_path, "health", environment) as container:
        container.start(RUNS)
        healthy = container.execute(*check)
        assert healthy.returncode == 0, healthy.stderr
    elsewhere = {**environment, "PUSHER_SERVER__OPERATIONS__ENABLED": "false"}
    with Container(image, tmp_path, "unhealthy", elsewhere) as container:
        container.start(RUNS)
        assert container.execute(*check).returncode != 0


def test_without_credentials_it_says_so_and_ends(image: Image, tmp_path: Path) -> None:
    with Container(image, tmp_path, "published", {}) as container:
        container.launch()
        assert container.wait() == 2
        (line,) = container.log.splitlines()
        assert "published example credentials" in line


async def test_a_config_file_that_is_mounted_is_read(image: Image, tmp_path: Path) -> None:
    """Of its folder, so that the image gets no new file."""
    port = free_port()
    folder = tmp_path / "etc"
    folder.mkdir()
    file = folder / "pusher-server.toml"
    file.write_text(
        f"[server]\nport = {port}\n[operations]\nport = {free_port()}\n"
        f'[[apps]]\nid = "{APP.app_id}"\nkey = "{APP.key}"\nsecret = "{APP.secret}"\n'
    )
    file.chmod(0o640)
    os.chown(file, 0, 10001)
    files = {"/etc/pusher-server": folder}
    host = {"PUSHER_SERVER__SERVER__HOST": "127.0.0.1"}
    with Container(image, tmp_path, "file", host, files=files) as container:
        container.start(RUNS)
        assert f"config file /etc/pusher-server/{file.name}" in container.log
        await deliver(Target("127.0.0.1", (port,), APP))
        extended = (
            file.read_text() + '[[apps]]\nid = "2"\nkey = "second"\nsecret = "another-secret"\n'
        )
        file.write_text(extended)
        container.stop("HUP")
        second = Credentials("2", "second", "another-secret")

        async def is_known() -> bool:
            try:
                async with connected(Target("127.0.0.1", (port,), second)):
                    return True
            except AssertionError:
                return False

        await eventually(is_known)


def test_it_has_the_drivers_of_every_database(image: Image, tmp_path: Path) -> None:
    with Container(image, tmp_path, "database", variables(free_port())) as container:
        container.start(RUNS)
        imported = container.execute("python3", "-c", "import asyncpg, aiomysql, aiosqlite")
        assert imported.returncode == 0, imported.stderr
