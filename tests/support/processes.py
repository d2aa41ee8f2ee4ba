"""Server processes that listen elsewhere than on plain TCP, and waiting for what they log."""

import os
import signal
import socket
import ssl
from pathlib import Path

import trustme

from tests.support.serving import RunningServer
from tests.support.waiting import PATIENCE, eventually
from tests.support.wire import Address


class TlsServer(RunningServer):
    """Listens with a certificate; `ready_status` only looks whether it accepts."""

    def ready_status(self) -> int | None:
        """200 once somebody listens."""
        return 200 if _accepts(socket.AF_INET, (self.host, self.port)) else None


class UnixServer(RunningServer):
    """Listens on a Unix socket."""

    @property
    def path(self) -> Path:
        """Of the socket."""
        return Path(self.settings["server"]["unix_socket"])

    def ready_status(self) -> int | None:
        """200 once somebody listens."""
        return 200 if _accepts(socket.AF_UNIX, str(self.path)) else None


def _accepts(family: int, address: tuple[str, int] | str) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address)
        except OSError:
            return False
        return True


def write_certificate(folder: Path, *, key_of: trustme.LeafCert | None = None) -> trustme.LeafCert:
    """A new certificate for localhost as `cert.pem`, its key (or another's) as `key.pem`."""
    certificate = trustme.CA().issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    (key_of or certificate).private_key_pem.write_to_path(str(folder / "key.pem"))
    return certificate


def tls_settings(folder: Path) -> dict[str, str]:
    """`[server.tls]`."""
    return {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


def by_tls(address: Address) -> Address:
    """The same place, spoken to in TLS without looking whose certificate it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return Address(address.host, address.port, tls=context)


def shown_certificate(address: Address) -> bytes:
    """What a new handshake shows, in DER."""
    assert address.tls is not None
    with (
        socket.create_connection((address.host, address.port), PATIENCE) as plain,
        address.tls.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        return shown


async def reload(server: RunningServer, *, rejected: bool = False) -> str:
    """Send SIGHUP and wait until the server has done it; returns what it logged."""
    before = len(server.log)
    os.kill(server.pid, signal.SIGHUP)
    word = "not reloaded" if rejected else "reloaded: "
    await eventually(lambda: word in server.log[before:] and server.log.endswith("\n"))
    return server.log[before:]


def rewrite(server: RunningServer, **tables: object) -> None:
    """Change the server's config file: these top-level tables are new."""
    server.settings = {**server.settings, **tables}
    server.write_config()


def write_text(server: RunningServer, text: str) -> None:
    """Make the server's config file anything."""
    server.write_config().write_text(text)
