"""`install-service` on a Debian of its own: it installs, the service runs, and all is taken back."""

import configparser
import hashlib
import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.target import Credentials, Target
from tests.deployment.images import Buildah, Machine, run
from tests.deployment.test_image import RUNS, deliver
from tests.support.serving import free_port
from tests.support.waiting import block_until

PROGRAM = "/opt/pusher-server/bin/pusher-server"
UNIT = "etc/systemd/system/pusher-server.service"
CONFIG = "etc/pusher-server/pusher-server.toml"
#: Of 10: what systemd itself calls "OK" ends at 4.9; docs/deployment.md has ours.
MOST_EXPOSED = 2.0


@pytest.fixture(scope="module")
def built(buildah: Buildah) -> str:
    """An image with the program for all users: what the first stage of the Containerfile makes."""
    buildah.build("localhost/base", "localhost/built", target="build")
    return "localhost/built"


@pytest.fixture
def machine(buildah: Buildah, built: str) -> Machine:
    """A Debian of the test's own, with the program."""
    return buildah.machine(built)


def state(machine: Machine) -> dict[str, str]:
    """Owner, mode and digest of every file where a service may be; without backups and caches of programs."""
    entries = {}
    for folder in ("etc", "var/lib/pusher-server", "usr/lib/systemd", "home"):
        for path in (machine.root / folder).rglob("*"):
            if path.name.endswith("-") or path.name in ("ld.so.cache", ".pwd.lock"):
                continue
            info = path.lstat()
            text = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            digest = hashlib.sha256(text).hexdigest()
            name = str(path.relative_to(machine.root))
            entries[name] = f"{info.st_mode:o} {info.st_uid}:{info.st_gid} {digest}"
    return entries


def exec_start(machine: Machine) -> list[str]:
    """The command of the unit."""
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string((machine.root / UNIT).read_text())
    return unit["Service"]["ExecStart"].split()


def test_it_installs_and_takes_all_of_it_back(machine: Machine) -> None:
    before = state(machine)
    lines = machine(PROGRAM, "install-service").splitlines()
    assert "made the system user pusher-server" in lines
    assert "ran `check-config` as the user pusher-server" in lines
    assert machine("id", "-un", "pusher-server") == "pusher-server"
    assert machine("stat", "-c", "%U:%G %a", f"/{CONFIG}") == "root:pusher-server 640"
    installed = state(machine)
    again = machine(PROGRAM, "install-service").splitlines()
    assert [line for line in again if line.startswith(("made", "wrote"))] == []
    assert state(machine) == installed
    machine(PROGRAM, "install-service", "--remove")
    assert state(machine) == before
    assert "nothing to remove" in machine(PROGRAM, "install-service", "--remove")


def test_systemd_accepts_the_unit_and_finds_it_safe(machine: Machine) -> None:
    machine(PROGRAM, "install-service")
    root = f"--root={machine.root}"
    verified = run("systemd-analyze", root, "--recursive-errors=no", "verify", f"/{UNIT}")
    assert "pusher-server.service" not in verified, verified
    report = run(
        "systemd-analyze", root, "security", "--offline=yes", "--json=short",
        f"--threshold={MOST_EXPOSED * 10:.0f}", f"/{UNIT}",
    )  # fmt: skip
    json.loads(report)


@pytest.fixture
def installed(machine: Machine) -> Iterator[tuple[Machine, Target, Path]]:
    """The service, running as the unit's user with the unit's command; where it listens, and its log."""
    machine(PROGRAM, "install-service")
    shown = json.loads(machine(PROGRAM, "apps", "list", "--json", "--config", f"/{CONFIG}"))
    (app,) = shown
    config = machine.root / CONFIG
    port = free_port()
    text = config.read_text().replace("port = 6001", f"port = {port}")
    config.write_text(f"{text}\n[operations]\nport = {free_port()}\n")
    revealed = machine(
        PROGRAM, "apps", "show", app["id"], "--reveal", "--json", "--config", f"/{CONFIG}"
    )
    (pair,) = json.loads(revealed)["keys"]
    target = Target("127.0.0.1", (port,), Credentials(app["id"], pair["key"], pair["secret"]))
    path = machine.root / "log"
    with path.open("wb") as log:
        user = ("--reuid=pusher-server", "--regid=pusher-server", "--clear-groups")
        command = ("setpriv", *user, *exec_start(machine))
        service = machine.launch(*command, stdout=log, stderr=log)
    try:
        block_until(lambda: RUNS in path.read_text(), 20, show=path.read_text)
        yield machine, target, path
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(30)


async def test_an_event_is_delivered_with_the_fresh_credentials(
    installed: tuple[Machine, Target, Path],
) -> None:
    _, target, log = installed
    await deliver(target, target.main)
    assert "warning" not in log.read_text().lower()


def test_a_changed_config_is_kept_and_named(installed: tuple[Machine, Target, Path]) -> None:
    machine, _, _ = installed
    lines = machine(PROGRAM, "install-service", "--remove").splitlines()
    assert f"kept /{CONFIG}, which was changed since (`--purge` removes it)" in lines
    assert (machine.root / CONFIG).exists()
