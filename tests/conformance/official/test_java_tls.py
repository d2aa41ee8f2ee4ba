"""The official Java libraries over TLS, with an authority of one's own in their trust store."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from tests.conformance.client import unique
from tests.conformance.official.app_server import running_app_server
from tests.conformance.official.driver import Driver, java_tool
from tests.conformance.official.java_clients import own_java_clients
from tests.conformance.official.java_library import java_library
from tests.conformance.target import GOLDEN, Target, own_settings
from tests.support.processes import TlsServer, tls_settings

PASSWORD = "only-for-tests"


@dataclass(frozen=True)
class Authority:
    """A certificate authority that a JVM with these options trusts, and no other one."""

    ca: trustme.CA
    options: tuple[str, str]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Made once, because `keytool` starts a JVM."""
    folder = tmp_path_factory.mktemp("authority")
    ca = trustme.CA()
    certificate, store = folder / "ca.pem", folder / "trust.p12"
    ca.cert_pem.write_to_path(str(certificate))
    # fmt: off
    subprocess.run(
        (java_tool("keytool"), "-importcert", "-noprompt", "-alias", "ours", "-file", str(certificate),
         "-keystore", str(store), "-storetype", "PKCS12", "-storepass", PASSWORD),
        check=True, capture_output=True, timeout=60,
    )
    # fmt: on
    trust_store = "-Djavax.net.ssl.trustStore"
    return Authority(ca, (f"{trust_store}={store}", f"{trust_store}Password={PASSWORD}"))


def secure_server(folder: Path, authority: Authority, name: str) -> TlsServer:
    """A server whose certificate is for `name`."""
    certificate = authority.ca.issue_cert(name)
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    settings = own_settings(folder)
    settings["server"]["tls"] = tls_settings(folder)
    return TlsServer(folder, settings)


@pytest.fixture
def secure(target: Target, tmp_path: Path, authority: Authority) -> Iterator[Target]:
    """Our own server with a certificate of the authority."""
    target.require_own_config()
    with secure_server(tmp_path, authority, "127.0.0.1") as server:
        yield Target(server.host, (server.port,), GOLDEN, scheme="https", own=True)


async def test_both_libraries_trust_the_authority(secure: Target, authority: Authority) -> None:
    """An event that one publishes over https reaches the other over wss."""
    channel = unique("private-")
    with running_app_server(secure) as app_server:
        async with (
            own_java_clients(secure, app_server, *authority.options) as clients,
            java_library(secure, None, *authority.options) as library,
        ):
            await clients.connect("alice")
            await clients.subscribe("alice", channel)
            await library.trigger(channel, "my-event", {"n": 1}, None)
            assert await clients.data("alice", channel, "my-event") == {"n": 1}


async def test_without_the_authority_nothing_is_sent(secure: Target) -> None:
    """A JVM's own trust store refuses the certificate; the client goes on trying, and the app hears why."""
    with running_app_server(secure) as app_server:
        async with own_java_clients(secure, app_server) as clients:
            await clients.create("alice")
            await expect_refusal(clients.driver, "alice")


async def test_a_certificate_of_another_host_is_refused(
    target: Target, tmp_path: Path, authority: Authority
) -> None:
    """The authority is right, the name is not."""
    target.require_own_config()
    with secure_server(tmp_path, authority, "other.example.com") as server:
        other = Target(server.host, (server.port,), GOLDEN, scheme="https", own=True)
        with running_app_server(other) as app_server:
            async with own_java_clients(other, app_server, *authority.options) as clients:
                await clients.create("alice")
                await expect_refusal(clients.driver, "alice")


async def expect_refusal(driver: Driver, name: str) -> None:
    """The app hears of a failed handshake, and the client tries again."""
    error = await driver.wait(who=name, channel=None, event="onError")
    assert "SSLHandshakeException" in error["data"]["exception"]
    await driver.wait_for_state(name, "reconnecting")
