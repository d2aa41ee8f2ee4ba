"""`integrations/laravel` in a real Laravel: its check against real servers, and its PHPUnit tests."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import trustme

from tests.examples.laravel_application import COMMAND_DEADLINE
from tests.examples.laravel_package import (
    PACKAGE,
    PackagedApplication,
    fixes_of,
    install,
    steps_of,
    worker,
)
from tests.examples.path_proxy import PathProxy
from tests.examples.programs import APP, TOP, clean_environment, program, pusher_environment, stop
from tests.examples.wrong_packages import WRONG_SETUPS, WrongSetup
from tests.support.processes import TlsServer, tls_settings
from tests.support.serving import RunningServer, free_port

DISABLED = {**APP, "id": "71", "key": "disabled-key", "enabled": False}
STEPS = ["Configuration", "Connection", "Publication", "Queue", "Channels", "Browser", "Webhooks"]


@pytest.fixture
def application(packaged: Path, tmp_path: Path) -> PackagedApplication:
    """An application with the package, for one test."""
    return PackagedApplication(packaged, tmp_path / "application")


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[RunningServer]:
    """The server without TLS."""
    with RunningServer(directory, {"apps": [APP, DISABLED]}) as running:
        yield running


@pytest.fixture(scope="module")
def names(directory: Path, server: RunningServer) -> Iterator[Mapping[str, str]]:
    """What set-ups name in braces: ports, and a folder with settings by which PHP trusts the certificate."""
    issuer = trustme.CA()
    certificate = issuer.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(str(directory / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(directory / "key.pem"))
    trusting = directory / "trusting"
    trusting.mkdir()
    issuer.cert_pem.write_to_path(str(trusting / "ca.pem"))
    lines = [f"{name}.cafile={trusting}/ca.pem" for name in ("openssl",)]
    lines.append(f"curl.cainfo={trusting}/ca.pem")
    (trusting / "trusting.ini").write_text("\n".join(lines), "utf-8")
    (directory / "empty").mkdir()
    other = free_port()
    command = [program("php", "php-cli"), "-S", f"127.0.0.1:{other}", "-t", "empty"]
    settings = {"server": {"tls": tls_settings(directory)}, "apps": [APP]}
    with TlsServer(directory, settings) as tls:
        web = subprocess.Popen(command, cwd=directory, stderr=subprocess.DEVNULL)
        try:
            yield {
                "plain": str(server.port),
                "tls": str(tls.port),
                "other": str(other),
                "nobody": str(free_port()),
                "trusting": str(trusting),
            }
        finally:
            stop(web)


def filled(text: str, names: Mapping[str, str]) -> str:
    """The text with the names in braces filled in."""
    return re.sub(r"\{(plain|tls|other|nobody|trusting)\}", lambda match: names[match[1]], text)


@pytest.mark.parametrize("setup", WRONG_SETUPS, ids=lambda setup: setup.name)
def test_the_first_thing_that_is_wrong_is_named(
    setup: WrongSetup, application: PackagedApplication, names: Mapping[str, str]
) -> None:
    """Exit status 1, one ✗ as the last step, the lines to paste, and never the secret."""
    changes = {name: filled(value, names) for name, value in setup.environment.items()}
    values = {**pusher_environment(int(names["plain"])), **changes}
    application.set_environment(values, setup.more)
    setup.change(application)
    variables = {name: filled(value, names) for name, value in setup.variables.items()}
    result = application.run(
        "pusher-server:check", "--wait=0.5", *setup.arguments, variables=variables
    )
    steps = steps_of(result.stdout)
    assert list(steps) == STEPS[: STEPS.index(setup.step) + 1], result.stdout + result.stderr
    assert result.returncode == 1
    assert [name for name, text in steps.items() if text.startswith("✗")] == [setup.step]
    assert re.search(filled(setup.text, names), steps[setup.step]), result.stdout
    fixes = fixes_of(result.stdout)
    assert any(re.search(filled(setup.fix, names), line) for line in fixes), result.stdout
    if values["PUSHER_APP_SECRET"]:
        assert values["PUSHER_APP_SECRET"] not in result.stdout + result.stderr


def test_a_right_setup_passes_and_leaves_nothing_behind(
    application: PackagedApplication, server: RunningServer
) -> None:
    """All steps with a worker: exit status 0, and no row in the tables of jobs and failed jobs."""
    secret = f"PUSHER_APP_SECRET={APP['secret']}\n"
    application.set_environment(
        {"QUEUE_CONNECTION": "database"}, "PUSHER_SERVER_WEBHOOK_PATH=hooks\n"
    )
    install(application, server.port, secret)
    with worker(application):
        result = application.run("pusher-server:check", "--wait=40")
    steps = steps_of(result.stdout)
    assert list(steps) == STEPS, result.stdout
    assert [text[0] for text in steps.values()] == ["✓"] * len(STEPS)
    assert re.search(r"A worker of \"database\" has sent an event within \d+\.\d s", steps["Queue"])
    assert fixes_of(result.stdout) == []
    assert result.returncode == 0
    assert application.rows("jobs") == application.rows("failed_jobs") == 0


def test_a_worker_with_old_settings_is_named(
    application: PackagedApplication, server: RunningServer
) -> None:
    """`.env` is right now; the worker fails with the secret of before, or has written into the log."""
    right = pusher_environment(server.port)
    for old, text in (
        (
            {"PUSHER_APP_SECRET": "of-before"},
            "PUSHER_APP_SECRET is not the secret of PUSHER_APP_KEY",
        ),
        ({"BROADCAST_CONNECTION": "log"}, "the worker has other settings, or other code"),
    ):
        application.set_environment({**right, "BROADCAST_CONNECTION": "pusher", **old})
        with worker(application):
            application.set_environment({**right, "BROADCAST_CONNECTION": "pusher"})
            result = application.run("pusher-server:check", "--wait=40")
        assert text in steps_of(result.stdout)["Queue"], result.stdout
        assert "php artisan queue:restart" in fixes_of(result.stdout)
        assert result.returncode == 1
        assert application.rows("jobs") == application.rows("failed_jobs") == 0


def test_a_trusted_certificate_passes(
    application: PackagedApplication, names: Mapping[str, str]
) -> None:
    """The same host and port that are wrong without the issuer."""
    values = {**pusher_environment(int(names["tls"])), "QUEUE_CONNECTION": "sync"}
    application.set_environment({**values, "PUSHER_HOST": "localhost", "PUSHER_SCHEME": "https"})
    trusting = {"PHP_INI_SCAN_DIR": f":{names['trusting']}"}
    result = application.run("pusher-server:check", variables=trusting)
    assert result.returncode == 0, result.stdout
    assert steps_of(result.stdout)["Publication"].startswith("✓")


@pytest.mark.parametrize(
    ("path", "added", "step", "text", "fix"),
    [
        ("/ws/", "", "", "", ""),
        ("/ws", "", "Publication", "does not know the path", "'path' => '/ws/',"),
        ("", "", "Publication", "a proxy that has the server below a path", "'path' => '/ws/',"),
        ("/ws/", "/live", "Publication", "does not answer as the server does", "'path' =>"),
    ],
    ids=["right", "without-last-slash", "none", "another"],
)
def test_a_server_below_a_path(
    path: str,
    added: str,
    step: str,
    text: str,
    fix: str,
    application: PackagedApplication,
    tmp_path: Path,
) -> None:
    """Behind a proxy that takes the path away, or puts another one in its place."""
    application.replace("config/broadcasting.php", "// 'path' => '/ws/',", f"'path' => '{path}',")
    settings = {"server": {"path_prefix": "/other"}, "apps": [APP]}
    with RunningServer(tmp_path, settings) as server, PathProxy(server.url, "/ws", added) as proxy:
        values = {**pusher_environment(proxy.port), "QUEUE_CONNECTION": "sync"}
        application.set_environment(values)
        result = application.run("pusher-server:check")
    steps = steps_of(result.stdout)
    assert result.returncode == (1 if step else 0), result.stdout
    if step:
        assert text in steps[step], result.stdout
        assert any(fix in line for line in fixes_of(result.stdout)), result.stdout
    else:
        assert f":{proxy.port}/ws/" in steps["Connection"]


def test_a_variable_of_the_process_is_named(
    application: PackagedApplication, server: RunningServer
) -> None:
    """It wins over `.env`, and other processes may not have it."""
    application.set_environment({**pusher_environment(1), "QUEUE_CONNECTION": "sync"})
    variables = {"PUSHER_PORT": str(server.port)}
    result = application.run("pusher-server:check", variables=variables)
    assert result.returncode == 0, result.stdout
    assert steps_of(result.stdout)["Configuration"].startswith("? The environment")
    assert steps_of(result.stdout)["Configuration"].endswith(": PUSHER_PORT")


def test_an_unmade_connection_does_not_stop_the_install_command(
    application: PackagedApplication, server: RunningServer
) -> None:
    """`routes/channels.php` makes the connection, so that all other commands end with an exception."""
    application.set_environment({"BROADCAST_CONNECTION": "pushr", "QUEUE_CONNECTION": "sync"})
    assert application.run("route:list").returncode != 0
    result = install(application, server.port, f"PUSHER_APP_SECRET={APP['secret']}\n")
    assert result.returncode == 0, result.stdout + result.stderr
    assert application.run("pusher-server:check").returncode == 0


def test_the_servers_texts_are_those_that_the_check_reads() -> None:
    """Each text that `Refusals` looks for stands in the server's code."""
    source = (PACKAGE / "src" / "Check" / "Refusals.php").read_text("utf-8")
    texts = re.findall(r"^            '(.+?)' => \[", source, re.MULTILINE)
    assert len(texts) == 10
    code = "".join(path.read_text("utf-8") for path in (TOP / "pusher_server").rglob("*.py"))
    assert [text for text in texts if text not in code] == []


def test_phpunit_passes(packaged: Path) -> None:
    """The package's own tests, on the application's Laravel."""
    variables = {"PUSHER_SERVER_AUTOLOAD": str(packaged / "bootstrap" / "autoload.php")}
    result = subprocess.run(
        [program("phpunit", "phpunit")],
        cwd=PACKAGE,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        timeout=COMMAND_DEADLINE,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^OK \(\d\d+ tests", result.stdout, re.MULTILINE), result.stdout
