"""Every spelling of a host: what is listened on, and what is told about it."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from pusher_server.config import ServerSettings
from pusher_server.server.listening import listen, listen_apart, urls_of
from tests.support.serving import free_port

#: Spelling of the host -> what the machine is asked for, and what is told.
SPELLINGS = [
    ("127.0.0.1", {"127.0.0.1"}, ["http://127.0.0.1:{port}"]),
    ("0.0.0.0", {"0.0.0.0"}, ["http://0.0.0.0:{port}"]),
    ("0", {"0.0.0.0"}, ["http://0.0.0.0:{port}"]),
    ("::1", {"::1"}, ["http://[::1]:{port}"]),
    ("::", {"::", "0.0.0.0"}, ["http://[::]:{port}", "http://0.0.0.0:{port}"]),
    ("::0", {"::", "0.0.0.0"}, ["http://[::]:{port}", "http://0.0.0.0:{port}"]),
    ("0:0:0:0:0:0:0:0", {"::", "0.0.0.0"}, ["http://[::]:{port}", "http://0.0.0.0:{port}"]),
]


@pytest.mark.parametrize(("host", "bound", "urls"), SPELLINGS)
def test_what_is_told_is_listened_on(host: str, bound: set[str], urls: list[str]) -> None:
    """`::` is every interface of both families, each on a socket of its own, one port for both."""
    settings = ServerSettings(host=host, port=free_port())
    with ExitStack() as stack:
        sockets = [stack.enter_context(each) for each in listen(settings, 0)]
        assert {each.getsockname()[0] for each in sockets} == bound
        told = urls_of(settings, sockets)
        assert told == [each.format(port=settings.port) for each in urls]
        for url in told:
            name = urlsplit(url).hostname
            with socket.create_connection((name, settings.port)) as client:
                assert client.getpeername()[1] == settings.port


def test_workers_have_both_families_too() -> None:
    settings = ServerSettings(host="::", port=free_port())
    with ExitStack() as stack:
        for own in listen_apart(settings, 0, 3):
            sockets = [stack.enter_context(each) for each in own]
            assert {each.getsockname()[0] for each in sockets} == {"::", "0.0.0.0"}
