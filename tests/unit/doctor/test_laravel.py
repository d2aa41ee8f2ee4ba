"""A Laravel folder, right and with each mismatch: the sentence of each, and never a value of `.env`."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pusher_server.doctor.plans import Options, Prepared, prepare
from pusher_server.errors import ConfigError
from tests.support.laravel_folder import (
    BOOTSTRAP,
    BROADCASTING,
    CHANNELS,
    ECHO,
    ENV,
    FILES,
    HOST,
    KEY,
    SECRET,
    make_older,
    write_project,
)

URL = f"wss://{HOST}"
Change = dict[str, str | None]

REVERB = {
    name.replace("PUSHER", "REVERB"): value.replace("PUSHER", "REVERB")
    for name, value in ENV.items()
    if "PUSHER" in name
}
REVERB_ECHO = ECHO.replace("VITE_PUSHER", "VITE_REVERB").replace("'pusher'", "'reverb'")
NO_PUSHER: Change = {name: None for name in ENV if "PUSHER" in name}


def prepared(folder: Path, url: str = URL) -> Prepared:
    """The results of the files, and the plan for the network."""
    return prepare(Options(url=url, laravel=folder), {}, "doctor-test")


def sentences(folder: Path, url: str = URL) -> dict[str, str]:
    """Cause and sentence of all that is not ✓."""
    return {
        result.cause: result.sentence
        for result in prepared(folder, url).results
        if result.mark != "✓"
    }


#: Cause -> changed variables, changed files, a part of the sentence.
WRONG: dict[str, tuple[Change, Change, str]] = {
    "broadcast_off": (
        {"BROADCAST_CONNECTION": "log"},
        {},
        "BROADCAST_CONNECTION names no connection with the driver pusher or reverb",
    ),
    "broadcast_variable": (
        {"BROADCAST_CONNECTION": None, "BROADCAST_DRIVER": "pusher"},
        {},
        ".env has BROADCAST_DRIVER, and config/broadcasting.php reads BROADCAST_CONNECTION.",
    ),
    "env_empty": ({"PUSHER_APP_SECRET": ""}, {}, "PUSHER_APP_SECRET has no value"),
    "env_stray": (
        {"PUSHER_APP_SECRET": f" {SECRET}"},
        {},
        "PUSHER_APP_SECRET has a blank or an invisible character at its beginning",
    ),
    "key_is_secret": (
        {"PUSHER_APP_SECRET": KEY, "VITE_PUSHER_APP_KEY": None, "VITE_PUSHER_HOST": None},
        {"resources/js/echo.js": None},
        "PUSHER_APP_KEY and PUSHER_APP_SECRET have the same value.",
    ),
    "host_missing": (
        {"PUSHER_HOST": None, "VITE_PUSHER_HOST": HOST},
        {},
        "has no host of yours, so Laravel publishes to hosted Pusher",
    ),
    "host_is_url": (
        {"PUSHER_HOST": f"https://{HOST}:443", "VITE_PUSHER_HOST": HOST},
        {},
        "PUSHER_HOST has a scheme, port or path in it",
    ),
    "scheme_differs": (
        {"PUSHER_SCHEME": "http", "VITE_PUSHER_SCHEME": "https"},
        {},
        "PUSHER_SCHEME and --url differ: one uses TLS",
    ),
    "client_variable_missing": (
        {"VITE_PUSHER_APP_KEY": None},
        {},
        "VITE_PUSHER_APP_KEY, which resources/js/echo.js reads, is not in .env.",
    ),
    "client_key_differs": (
        {"VITE_PUSHER_APP_KEY": "0ther-key-00000"},
        {},
        "VITE_PUSHER_APP_KEY and PUSHER_APP_KEY differ",
    ),
    "client_host_differs": (
        {"VITE_PUSHER_HOST": "127.0.0.1"},
        {},
        "VITE_PUSHER_HOST is not the host of --url",
    ),
    "client_port_differs": (
        {"VITE_PUSHER_PORT": "6001"},
        {},
        "VITE_PUSHER_PORT is not the port of --url",
    ),
    "client_scheme_differs": (
        {"VITE_PUSHER_SCHEME": "http"},
        {},
        "VITE_PUSHER_SCHEME does not fit --url",
    ),
    "client_secret": (
        {"VITE_PUSHER_APP_SECRET": "${PUSHER_APP_SECRET}"},
        {},
        "VITE_PUSHER_APP_SECRET has the app's secret",
    ),
    "echo_without_host": (
        {},
        {"resources/js/echo.js": ECHO.replace("wsHost:", "// ws:")},
        "resources/js/echo.js makes an Echo without wsHost",
    ),
    "channels_missing": ({}, {"routes/channels.php": None}, "There is no routes/channels.php"),
    "channel_prefixed": (
        {},
        {"routes/channels.php": CHANNELS.replace("'session", "'private-session")},
        "Line 8 of routes/channels.php has a rule that begins with private-",
    ),
    "channels_unregistered": (
        {},
        {"bootstrap/app.php": BOOTSTRAP.replace("        channels:", "        // channels:")},
        "Nothing registers routes/channels.php",
    ),
    "php_library_missing": (
        {},
        {"composer.json": '{"require": {"laravel/framework": "^11.0"}}'},
        "composer.json does not require pusher/pusher-php-server",
    ),
    "client_library_missing": (
        {},
        {"package.json": '{"devDependencies": {"laravel-echo": "^2.0"}}'},
        "package.json does not have pusher-js.",
    ),
    "queue_worker": ({"QUEUE_CONNECTION": "redis"}, {}, "Events wait in a queue"),
    "dynamic": (
        {},
        {
            "config/broadcasting.php": BROADCASTING.replace(
                "env('PUSHER_APP_SECRET')", "App\\Vault::read('pusher')"
            )
        },
        "secret (line 20 of config/broadcasting.php) is a value that only PHP knows.",
    ),
    "file_unreadable": (
        {},
        {"config/broadcasting.php": BROADCASTING[:400]},
        "config/broadcasting.php ends inside the text that begins in line 12.",
    ),
}


@pytest.mark.parametrize("cause", WRONG)
def test_a_wrong_folder(cause: str, tmp_path: Path) -> None:
    env, files, sentence = WRONG[cause]
    write_project(tmp_path, env=env, files=files)
    answers = sentences(tmp_path)
    assert sentence in answers[cause]
    if cause != "file_unreadable":  # the rest of the file is missing, too
        assert list(answers) == [cause]


def test_variables_of_another_family(tmp_path: Path) -> None:
    """BROADCAST_CONNECTION=reverb reads REVERB_…, and the page's key has to be of the same app."""
    write_project(tmp_path, env={"BROADCAST_CONNECTION": "reverb"})
    results = prepared(tmp_path).results
    empty = [result.sentence.split()[0] for result in results if result.cause == "env_empty"]
    assert empty == ["REVERB_APP_ID", "REVERB_APP_KEY", "REVERB_APP_SECRET"]
    assert "host_missing" in sentences(tmp_path)
    write_project(tmp_path, env={**REVERB, "REVERB_APP_KEY": "0ther-key-00000"})
    assert sentences(tmp_path) == {}


def test_a_host_whose_default_is_hosted_pusher(tmp_path: Path) -> None:
    """As Laravel's own file had it: without the variable the page goes to hosted Pusher."""
    hosted = "VITE_PUSHER_HOST ?? `ws-${import.meta.env.VITE_PUSHER_APP_CLUSTER}.pusher.com`"
    page = ECHO.replace("VITE_PUSHER_HOST", hosted)
    write_project(tmp_path, env={"VITE_PUSHER_HOST": None}, files={"resources/js/echo.js": page})
    assert list(sentences(tmp_path)) == ["client_variable_missing"]


def test_a_missing_env_is_no_fault(tmp_path: Path) -> None:
    write_project(tmp_path)
    (tmp_path / ".env").unlink()
    assert {result.mark for result in prepared(tmp_path).results} <= {"✓", "?"}


#: Changes that leave a folder right.
RIGHT: dict[str, tuple[Change, Change]] = {
    "as it is": ({}, {}),
    "Reverb's variables": ({**NO_PUSHER, **REVERB, "BROADCAST_CONNECTION": "reverb"},
                           {"resources/js/echo.js": REVERB_ECHO}),
    "without config/broadcasting.php": ({}, {"config/broadcasting.php": None}),
    "Laravel 10": (
        {"BROADCAST_CONNECTION": None, "BROADCAST_DRIVER": "pusher"},
        {
            "config/broadcasting.php": BROADCASTING.replace("_CONNECTION'", "_DRIVER'"),
            "bootstrap/app.php": "<?php\n$app = new Illuminate\\Foundation\\Application(__DIR__);\n",
            "config/app.php": "<?php return [App\\Providers\\BroadcastServiceProvider::class];",
        },
    ),
    "routes by hand": (
        {},
        {
            "bootstrap/app.php": BOOTSTRAP.replace("        channels:", "        // channels:"),
            "routes/api.php": "<?php\nBroadcast::routes(['middleware' => ['auth:sanctum']]);\n",
        },
    ),
    "another internal host": ({"PUSHER_HOST": "10.0.0.5", "PUSHER_PORT": "6001",
                               "PUSHER_SCHEME": "http", "VITE_PUSHER_HOST": HOST,
                               "VITE_PUSHER_PORT": "443", "VITE_PUSHER_SCHEME": "https"}, {}),
    "no page": ({name: None for name in ENV if name.startswith("VITE_")},
                {"resources/js/echo.js": None, "package.json": None}),
    "options from elsewhere": (
        {},
        {
            "resources/js/a.js": "import options from './options';\nwindow.Echo = new Echo(options);\n",
            "resources/js/b.js": "window.Echo = new Echo({ ...options, broadcaster: 'pusher' });\n",
        },
    ),
    "a default of the page's own": (
        {"VITE_PUSHER_HOST": None},
        {
            "resources/js/echo.js": ECHO.replace(
                "VITE_PUSHER_HOST", "VITE_PUSHER_HOST ?? window.location.hostname"
            )
        },
    ),
    "public channels alone": (
        {},
        {
            "routes/channels.php": "<?php\n",
            "bootstrap/app.php": BOOTSTRAP.replace("        channels:", "        // channels:"),
        },
    ),
    "comments": ({}, {"resources/js/bootstrap.js": "// window.Echo = new Echo({\n//   key: 1});\n"}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_folder(name: str, tmp_path: Path) -> None:
    env, files = RIGHT[name]
    write_project(tmp_path, env=env, files=files)
    assert sentences(tmp_path) == {}


def test_what_is_older_than_the_env(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        files={"bootstrap/cache/config.php": "<?php", "public/build/manifest.json": "{}"},
    )
    assert sentences(tmp_path) == {}
    make_older(tmp_path / "bootstrap/cache/config.php")
    make_older(tmp_path / "public/build/manifest.json")
    assert set(sentences(tmp_path)) == {"config_cached", "build_old"}


def _texts(folder: Path, url: str) -> str:
    made = prepared(folder, url)
    results = [msgspec.to_builtins(made.mask.result(result)) for result in made.results]
    return f"{results} {made.plan!r} {made.plan.notice} {made.mask!r} {made.plan.credentials!r}"


@pytest.mark.parametrize("cause", WRONG)
def test_no_value_of_the_env_is_printed(cause: str, tmp_path: Path) -> None:
    """Whatever is wrong, also without --url, when the address itself comes from `.env`."""
    env, files, _ = WRONG[cause]
    write_project(tmp_path, env=env, files=files)
    for url in ("", "wss://another.example"):
        try:
            text = _texts(tmp_path, url)
        except ConfigError as error:  # no address is known then
            text = str(error)
        values = {**ENV, **env}.values()
        hidden = [
            value for value in values if value and len(value) > 7 and not value.startswith("$")
        ]
        assert [value for value in hidden if value in text] == []


def test_the_address_of_a_project_is_named_by_its_variables(tmp_path: Path) -> None:
    plan = prepared(write_project(tmp_path), "").plan
    assert (plan.clients.host, plan.clients.port, plan.clients.is_tls) == (HOST, 443, True)
    assert (plan.clients.shown_host, plan.clients.shown_port) == (
        "VITE_PUSHER_HOST",
        "VITE_PUSHER_PORT",
    )
    assert plan.backend.shown_host == "PUSHER_HOST"
    assert plan.credentials.is_complete


def garbage(name: str) -> Callable[[Path], None]:
    """Replaces a file by bytes that are no text."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes(b"\xff\x00<?php [[[[" * 50)

    return change


@pytest.mark.parametrize("name", [".env", *FILES])
def test_a_file_of_garbage_is_a_question_mark(name: str, tmp_path: Path) -> None:
    write_project(tmp_path)
    garbage(name)(tmp_path)
    results = prepared(tmp_path).results
    if name not in ("artisan", "resources/js/echo.js", "bootstrap/app.php"):
        assert "file_unreadable" in {result.cause for result in results}
    assert all(result.sentence for result in results)


def test_a_folder_that_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no Laravel project"):
        prepared(tmp_path)
