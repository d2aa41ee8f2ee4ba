"""What a fault of the network is called, and answers that no test server gives."""

import errno
import ssl

import httpcore
import pytest

from pusher_server.doctor.network import Trouble, trouble_of
from pusher_server.doctor.operations import _measured
from pusher_server.doctor.ports import port_trouble
from pusher_server.doctor.targets import Target
from pusher_server.resolving import NameNotResolved


def caused(error: Exception, cause: BaseException) -> Exception:
    """An error of httpcore with what led to it."""
    error.__cause__ = cause
    return error


TROUBLES: dict[str, tuple[Exception, str]] = {
    "name": (NameNotResolved("x"), "name_unknown"),
    "refused": (caused(httpcore.ConnectError(), ConnectionRefusedError()), "port_refused"),
    "silent": (httpcore.ConnectTimeout(), "port_silent"),
    "silent too": (TimeoutError(), "port_silent"),
    "route": (OSError(errno.EHOSTUNREACH, "No route to host"), "port_unreachable"),
    "several": (
        caused(
            httpcore.ConnectError(),
            OSError("All connection attempts failed"),
        ),
        "port_unreachable",
    ),
    "cut in TLS": (httpcore.ConnectError(), "no_http"),
    "reset": (caused(httpcore.ReadError(), ConnectionResetError()), "no_http"),
    "tls": (caused(httpcore.ConnectError(), ssl.SSLError(1, "bad")), "tls_broken"),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_a_fault_of_the_network(name: str) -> None:
    error, cause = TROUBLES[name]
    trouble = trouble_of(error, 5.0)
    result = port_trouble("port", Target("a.example", 6_001, False), trouble)
    assert (result.cause, result.mark) == (cause, "✗")


def test_a_firewall_is_named() -> None:
    trouble = Trouble("silent", "no answer within 5 s")
    result = port_trouble("port", Target("a.example", 443, True), trouble)
    assert result.sentence == (
        "Port 443 of a.example does not answer within 5 s: a firewall drops the packets."
    )
    assert "ufw allow 443/tcp" in result.fix


def test_several_attempts_have_the_last_one_s_reason() -> None:
    group = ExceptionGroup("x", [OSError(101, "Network is unreachable"), ConnectionRefusedError()])
    assert trouble_of(caused(OSError("all"), group), 5.0).kind == "refused"


@pytest.mark.parametrize(
    "text", ["", "{", 'pusher_server_build_info{version="1"', "a{b=} 1", "x" * 99]
)
def test_metrics_of_another_program(text: str) -> None:
    results = _measured(text)
    assert results
    assert all(result.mark != "✓" for result in results)


def test_metrics_without_a_limit() -> None:
    results = _measured('process_max_fds{worker="1"} +Inf\nprocess_open_fds{worker="1"} 5\n')
    assert [result.mark for result in results if result.check == "files"] == ["✓"]
