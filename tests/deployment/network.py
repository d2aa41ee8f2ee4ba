"""Hosts on one machine: a bridge, and for each host a network namespace with an address and a name server."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.deployment.images import run
from tests.support.containers import TOP
from tests.support.waiting import block_until

#: Inside of the networks that compose.yaml believes its proxy from.
_NETWORK = "172.30.213"


class Network:
    """Hosts by name. `aliases` are further names, of one host or of several."""

    def __init__(self, hosts: list[str], aliases: Mapping[str, list[str]]) -> None:
        self._tag = f"ps{os.getpid() % 100_000}"
        self.addresses = {host: f"{_NETWORK}.{10 + n}" for n, host in enumerate(hosts)}
        self._names = [f"{host}={address}" for host, address in self.addresses.items()]
        self._names += [
            f"{alias}={self.addresses[host]}" for alias, of in aliases.items() for host in of
        ]
        self._processes: list[subprocess.Popen[bytes]] = []

    def namespace(self, host: str) -> str:
        """The name of a host's network namespace."""
        return f"{self._tag}-{host}"

    def path(self, host: str) -> str:
        """The same as a file, for a container."""
        return f"/run/netns/{self.namespace(host)}"

    def start(self, host: str, *command: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program on a host."""
        words = ["ip", "netns", "exec", self.namespace(host), *map(str, command)]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, **{"cwd": TOP, **options})
        self._processes.append(process)
        return process

    def _serve_names(self, host: str, folder: Path) -> None:
        log = folder / f"names-{host}.log"
        with log.open("wb") as output:
            module = (sys.executable, "-m", "tests.deployment.names")
            self.start(host, *module, *self._names, stdout=output, stderr=output)
        block_until(lambda: "serving" in log.read_text(), show=log.read_text)

    def open(self, folder: Path) -> None:
        """Make all of it."""
        bridge = f"{self._tag}b"
        run("ip", "link", "add", bridge, "type", "bridge")
        run("ip", "addr", "add", f"{_NETWORK}.1/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        for number, (host, address) in enumerate(self.addresses.items()):
            inside, outside = self.namespace(host), f"{self._tag}v{number}"
            run("ip", "netns", "add", inside)
            peer = ("peer", "name", "eth0", "netns", inside)
            run("ip", "link", "add", outside, "type", "veth", *peer)
            run("ip", "link", "set", outside, "master", bridge, "up")
            within = ("ip", "-n", inside)
            run(*within, "addr", "add", f"{address}/24", "dev", "eth0")
            run(*within, "link", "set", "eth0", "up")
            run(*within, "link", "set", "lo", "up")
            names = Path("/etc/netns") / inside  # `ip netns exec` shows it as /etc/resolv.conf
            names.mkdir(parents=True)
            (names / "resolv.conf").write_text("nameserver 127.0.0.11\noptions timeout:1\n")
            self._serve_names(host, folder)

    def close(self) -> None:
        """End the programs and remove all of it, as far as it was made."""
        for process in self._processes:
            process.kill()
            process.wait()
        for number, host in enumerate(self.addresses):
            inside = self.namespace(host)
            with contextlib.suppress(AssertionError):
                run("ip", "link", "delete", f"{self._tag}v{number}")
            with contextlib.suppress(AssertionError):
                run("ip", "netns", "delete", inside)
            names = Path("/etc/netns") / inside
            with contextlib.suppress(OSError):
                (names / "resolv.conf").unlink()
                names.rmdir()
        with contextlib.suppress(OSError):
            Path("/etc/netns").rmdir()  # not if others use it
        with contextlib.suppress(AssertionError):
            run("ip", "link", "delete", f"{self._tag}b")


@contextlib.contextmanager
def network(folder: Path, hosts: list[str], aliases: Mapping[str, list[str]]) -> Iterator[Network]:
    """A network for some tests."""
    made = Network(hosts, aliases)
    try:
        made.open(folder)
        yield made
    finally:
        made.close()
