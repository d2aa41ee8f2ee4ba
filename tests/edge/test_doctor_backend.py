"""The backend's side as `doctor` sees it: clock, credentials, auth route, operations; the command itself."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pusher_server import __version__
from pusher_server.cli.main import main
from pusher_server.doctor.credentials import Credentials
from tests.edge.doctor_setups import at, examined, holding, http, site, unsure, wrong
from tests.support.inprocess import APP_ID, KEY, SECRET, app, serving
from tests.support.laravel_folder import write_project
from tests.support.serving import RunningServer, free_port


@pytest.mark.parametrize(
    ("seconds", "cause", "words"),
    [
        (3_600, "clock_off", "60 min ahead of the server's"),
        (-3_600, "clock_off", "60 min behind the server's"),
        (300, "clock_drifts", "5 min ahead of the server's"),
    ],
)
async def test_clocks_that_differ(seconds: int, cause: str, words: str, tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        results = await examined(at(inside.address.port), now=lambda: time.time() + seconds)
    sentence = {**wrong(results), **unsure(results)}[cause]
    assert words in sentence
    assert set(wrong(results)) <= {"clock_off"}


PAIRS = {
    "secret_wrong": (Credentials(APP_ID, KEY, "another"), "The signature does not match"),
    "app_id_wrong": (Credentials("77", KEY, SECRET), "the app id is not that of its app"),
}


@pytest.mark.parametrize("cause", PAIRS)
async def test_wrong_credentials(cause: str, tmp_path: Path) -> None:
    credentials, sentence = PAIRS[cause]
    async with serving(tmp_path) as inside:
        results = await examined(at(inside.address.port), credentials=credentials)
    assert list(wrong(results)) == [cause]
    assert sentence in wrong(results)[cause]
    assert "another" not in str(results)


API = {
    "api_path": ({"/apps/": http("404 Not Found", "<html>nginx</html>")}, "is answered with 404"),
    "api_redirected": ({"/apps/": http("308 Permanent Redirect")}, "with a redirect (308)"),
    "api_silent": ({"/up": b""}, "The API does not answer"),
    "api_refused": ({"/apps/": http("418 Teapot", "no\x1b[2J tea")}, "418: no\\x1b[2J tea."),
}


@pytest.mark.parametrize("cause", API)
async def test_an_api_that_is_not_there(cause: str, tmp_path: Path) -> None:
    answers, sentence = API[cause]
    async with serving(tmp_path) as inside, site(answers, upstream=inside.address.port) as port:
        results = await examined(at(port))
    assert list(wrong(results)) == [cause]
    assert sentence in wrong(results)[cause]


async def test_an_api_that_is_busy(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        busy = {"/apps/": http("503 Service Unavailable", "later")}
        async with site(busy, upstream=inside.address.port) as port:
            results = await examined(at(port))
    assert (wrong(results), list(unsure(results))) == ({}, ["api_busy"])


async def test_a_backend_that_publishes_to_another_server(tmp_path: Path) -> None:
    """Both have the app: the publication is accepted, and its event goes nowhere."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with serving(tmp_path / "a") as inside, serving(tmp_path / "b") as other:
        target, backend = at(inside.address.port), at(other.address.port)
        results = await examined(target, backend=backend, limit=2.0)
    assert list(wrong(results)) == ["event_lost"]


@pytest.mark.parametrize("is_here", [True, False])
async def test_a_backend_address_that_is_closed(is_here: bool, tmp_path: Path) -> None:
    """On the backend's machine it is a fault; elsewhere an address of its own network may be right."""
    async with serving(tmp_path) as inside:
        target, backend = at(inside.address.port), at(free_port())
        results = await examined(target, backend=backend, is_backend_here=is_here)
    assert list(wrong(results)) == (["port_refused"] if is_here else [])
    assert list(unsure(results)) == ([] if is_here else ["api_elsewhere"])
    assert "publication" in holding(results)


ORIGIN = "https://shop.example"
ALLOWED = {"Access_Control_Allow_Origin": ORIGIN, "Access_Control_Allow_Headers": "*"}
LISTED = {
    "Access_Control_Allow_Origin": "*",
    "Access_Control_Allow_Headers": "Content-Type, X-CSRF-TOKEN, Authorization",
}

#: The answer to the preflight, the cause ("" for ✓), and a part of the sentence.
PREFLIGHTS: dict[str, tuple[bytes, str, str]] = {
    "Laravel": (http("204 No Content", **ALLOWED), "", "its preflight allows https://shop.example"),
    "listed": (http("200 OK", **LISTED), "", "its preflight allows"),
    "without CORS": (http("204 No Content"), "auth_without_cors", "does not allow the origin"),
    "for another": (
        http("200 OK", Access_Control_Allow_Origin="https://other.example"),
        "auth_without_cors",
        "does not allow the origin https://shop.example",
    ),
    "refused": (http("403 Forbidden", **ALLOWED), "auth_without_cors", "the browser never sends"),
    "headers": (
        http(
            "200 OK", Access_Control_Allow_Origin="*", Access_Control_Allow_Headers="content-type"
        ),
        "auth_headers",
        "does not allow the header authorization",
    ),
    "missing": (http("404 Not Found"), "auth_missing", "is answered with 404"),
    "redirected": (http("302 Found", Location="/login"), "auth_redirected", "a redirect (302)"),
    "failing": (http("500 Internal Server Error"), "auth_failing", "is answered with 500"),
    "cut": (b"", "auth_silent", "The auth route does not answer"),
}


FAULTS = {"auth_without_cors", "auth_missing", "auth_redirected", "auth_silent"}


async def auth_route(answer: bytes, *, origin: str) -> tuple[str, str]:
    """The cause and the sentence about an auth route with this answer."""
    async with site({"/broadcasting/auth": answer}) as port:
        url = f"http://127.0.0.1:{port}/broadcasting/auth"
        own = f"http://127.0.0.1:{port}" if origin == "own" else origin
        results = await examined(at(free_port()), auth_url=url, origin=own)
    (result,) = [result for result in results if result.check == "auth route"]
    assert result.mark == ("✗" if result.cause in FAULTS else "?" if result.cause else "✓")
    return result.cause, result.sentence


@pytest.mark.parametrize("name", PREFLIGHTS)
async def test_a_preflight(name: str) -> None:
    answer, cause, words = PREFLIGHTS[name]
    reported, sentence = await auth_route(answer, origin=ORIGIN)
    assert reported == cause
    assert words in sentence


OWN = {
    "403 Forbidden": "",
    "419 unknown status": "",
    "404 Not Found": "auth_missing",
    "405 Method Not Allowed": "auth_missing",
    "308 Permanent Redirect": "auth_redirected",
    "502 Bad Gateway": "auth_failing",
}


@pytest.mark.parametrize("status", OWN)
@pytest.mark.parametrize("origin", ["own", ""])
async def test_an_auth_route_of_the_page_s_own_origin(status: str, origin: str) -> None:
    """It needs no preflight, and a refusal proves that it is there."""
    assert (await auth_route(http(status), origin=origin))[0] == OWN[status]


def metrics(*, most: int = 1_048_576, used: int = 40, version: str = __version__) -> bytes:
    """The metrics of two workers."""
    lines = [f'pusher_server_build_info{{version="{version}",python="3.11"}} 1']
    for worker, count in (("1", 10), ("2", used)):
        lines.append(f'process_open_fds{{worker="{worker}"}} {count}')
        lines.append(f'process_max_fds{{worker="{worker}"}} {most}')
    return http("200 OK", "\n".join(lines) + "\n")


def why(faults: int) -> bytes:
    """The answer of `/why` with so many faults."""
    finding = {
        "cause": "event_prefix", "app": "1", "subject": "", "sentence": "s", "fix": "f", "link": "l",
        "is_fault": True, "count": 1, "first": 1.0, "last": 1.0,
    }  # fmt: skip
    rows = [finding, {**finding, "is_fault": False}][: faults + 1] if faults else []
    answer = {"nodes": 1, "answered": 1, "findings": rows, "missed": [], "apps": {}, "steps": []}
    return http("200 OK", json.dumps(answer))


OPERATIONS: dict[str, tuple[Mapping[str, bytes], list[str]]] = {
    "right": ({"/metrics": metrics(), "/why": why(0)}, []),
    "files_few": ({"/metrics": metrics(most=1_024), "/why": why(0)}, ["files_few"]),
    "files_used_up": (
        {"/metrics": metrics(most=65_536, used=60_000), "/why": why(0)},
        ["files_used_up"],
    ),
    "version_differs": (
        {"/metrics": metrics(version="0.0.1\x1b[2J"), "/why": why(0)},
        ["version_differs"],
    ),
    "findings_wait": ({"/metrics": metrics(), "/why": why(1)}, ["findings_wait"]),
    "operations_token": ({"/": http("401 Unauthorized")}, ["operations_token"]),
    "operations_silent": ({"/": b""}, ["operations_silent"]),
    "another page": ({"/": http("200 OK", "<html>")}, ["operations_silent"]),
    "a deep answer": ({"/metrics": metrics(), "/why": http("200 OK", "[" * 60_000)}, []),
}


@pytest.mark.parametrize("name", OPERATIONS)
async def test_the_operations_listener(name: str) -> None:
    answers, causes = OPERATIONS[name]
    async with site(answers) as port:
        results = await examined(at(free_port()), operations=f"http://127.0.0.1:{port}")
    checks = {"versions", "files", "findings", "operations"}
    assert [row.cause for row in results if row.check in checks and row.cause] == causes
    assert "\x1b" not in str(results)


def run(arguments: Sequence[str], environment: Mapping[str, str | None] | None = None) -> Result:
    """The command, without variables of the machine that runs the tests."""
    names = ("ID", "KEY", "SECRET")
    empty = {f"PUSHER_APP_{name}": None for name in names} | {"PUSHER_HOST": None}
    return CliRunner().invoke(main, ["doctor", *arguments], env={**empty, **(environment or {})})


CREDENTIALS = {"PUSHER_APP_ID": APP_ID, "PUSHER_APP_KEY": KEY, "PUSHER_APP_SECRET": SECRET}


def test_the_command_for_people(process: RunningServer) -> None:
    """It names the publication first; nothing that it prints has a key or a secret."""
    url = f"ws://127.0.0.1:{process.port}"
    result = run(["--url", url, "--quick", "--origin", "http://shop.example"], CREDENTIALS)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == f"pusher-server {__version__} looks at {url}"
    assert lines[1].startswith("This publishes one event to the channel doctor-")
    assert "channel_occupied, channel_vacated" in lines[1]
    assert "✓ origin: the app allows http://shop.example" in lines
    assert any(line.startswith("✓ publication: an event went to doctor-") for line in lines)
    assert lines[-1] == "9 ✓, 0 ✗, 3 ?"
    assert KEY not in result.output
    assert SECRET not in result.output


def test_the_command_with_the_server_s_own_file(process: RunningServer, tmp_path: Path) -> None:
    """The file has the address, the credentials and the webhooks."""
    config = process.directory / f"server-{process.port}.toml"
    result = run(["--app", str(config), "--quick", "--json"])
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.output)
    assert answer["faults"] == 0
    assert "the app has no webhook for it" in answer["notice"]
    states = {check["check"]: check["state"] for check in answer["checks"]}
    assert (states["publication"], states["idle limit"]) == ("ok", "unknown")


def test_the_command_with_a_file_of_variables(process: RunningServer, tmp_path: Path) -> None:
    wrong = {**CREDENTIALS, "PUSHER_APP_SECRET": "0123456789abcdef-wrong"}
    lines = [f"{name}={value}" for name, value in wrong.items()]
    lines += ["PUSHER_HOST=127.0.0.1", f"PUSHER_PORT={process.port}", "PUSHER_SCHEME=http"]
    (tmp_path / "app.env").write_text("\n".join(lines))
    result = run(["--app", str(tmp_path / "app.env"), "--quick"])
    assert result.exit_code == 1
    assert "✗ credentials: The signature does not match" in result.output
    hidden = [*wrong.values(), "127.0.0.1", str(process.port)]
    assert [value for value in hidden[1:] if value in result.output] == []


def test_the_command_with_a_laravel_project(process: RunningServer, tmp_path: Path) -> None:
    """It connects where the page does and publishes where Laravel does; no value of `.env` is printed."""
    env: dict[str, str | None] = {
        **CREDENTIALS,
        "PUSHER_HOST": "127.0.0.1",
        "PUSHER_PORT": str(process.port),
        "PUSHER_SCHEME": "http",
        "BROADCAST_CONNECTION": "pusher",
    }
    write_project(tmp_path, env=env)
    result = run(["--laravel", str(tmp_path), "--quick"])
    assert result.exit_code == 0, result.output
    assert "looks at ws://VITE_PUSHER_HOST:VITE_PUSHER_PORT" in result.output
    assert "✓ publication:" in result.output
    values = [value for value in env.values() if value and len(value) > 4 and value != "pusher"]
    assert [value for value in values if value in result.output] == []
    write_project(tmp_path, env={**env, "PUSHER_APP_SECRET": "another-secret-1"})
    result = run(["--laravel", str(tmp_path), "--quick", "--json"])
    assert result.exit_code == 1
    causes = [check["cause"] for check in json.loads(result.output)["checks"]]
    assert "secret_wrong" in causes
    assert "another-secret-1" not in result.output


def test_a_run_against_nothing_ends_soon() -> None:
    """Status 1, and one ✗ for one cause."""
    result = run(["--url", f"wss://127.0.0.1:{free_port()}", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.output)["faults"] == 1


def test_the_server_s_metrics_are_read(tmp_path: Path) -> None:
    """Of a real server, with its token from the environment."""
    operations = {"port": free_port(), "token": "t0ken-of-the-test-1"}
    with RunningServer(tmp_path, {"apps": [app()], "operations": operations}) as server:
        arguments = ["--url", server.url, "--operations", f"http://127.0.0.1:{operations['port']}"]
        arguments += ["--quick", "--json"]
        refused = run(arguments, CREDENTIALS)
        token = {"PUSHER_SERVER__OPERATIONS__TOKEN": "t0ken-of-the-test-1"}
        result = run(arguments, {**CREDENTIALS, **token})
    assert "operations_token" in refused.output
    checks = {check["check"]: check for check in json.loads(result.output)["checks"]}
    assert checks["versions"]["sentence"] == f"server and doctor are {__version__}"
    assert checks["files"]["cause"] in ("", "files_few")  # as the machine has it
    assert checks["findings"]["state"] == "ok"
    assert "t0ken" not in result.output
