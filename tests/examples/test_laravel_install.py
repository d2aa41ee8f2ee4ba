"""`php artisan pusher-server:install` in a real Laravel: what it writes, what stays, and the way back."""

from pathlib import Path

import pytest

from tests.examples.laravel_package import PackagedApplication, install, steps_of
from tests.examples.programs import APP
from tests.support.serving import RunningServer

SECRET = f"PUSHER_APP_SECRET={APP['secret']}\n"
#: A file as people have it: other lines, comments, quotes, blanks, an old line end, bytes that are no UTF-8.
BEFORE = (
    b"APP_NAME='My  shop' # our \xff shop\r\n"
    b"\r\n"
    b"BROADCAST_DRIVER=log\r\n"
    b'  export PUSHER_HOST = "old.example.com"   # the old one\r\n'
    b"#PUSHER_PORT=443\r\n"
    b"PUSHER_APP_KEY='old-key'\r\n"
    b'TEXT="two\nPUSHER_SCHEME=lines"\r\n'
    b"VITE_PUSHER_HOST=old.example.com\r\n"
    b"LAST=1"
)
AFTER = (
    b"APP_NAME='My  shop' # our \xff shop\r\n"
    b"\r\n"
    b"BROADCAST_DRIVER=pusher\r\n"
    b'  export PUSHER_HOST = "127.0.0.1"   # the old one\r\n'
    b"#PUSHER_PORT=443\r\n"
    b"PUSHER_APP_KEY='comments-key'\r\n"
    b'TEXT="two\nPUSHER_SCHEME=lines"\r\n'
    b'VITE_PUSHER_HOST="${PUSHER_HOST}"\r\n'
    b"LAST=1\r\n"
    b"PUSHER_APP_ID=7\r\n"
    b"PUSHER_APP_SECRET=comments-secret\r\n"
    b"PUSHER_PORT=6001\r\n"
    b"PUSHER_SCHEME=http\r\n"
    b'VITE_PUSHER_APP_KEY="${PUSHER_APP_KEY}"\r\n'
    b'VITE_PUSHER_PORT="${PUSHER_PORT}"\r\n'
    b'VITE_PUSHER_SCHEME="${PUSHER_SCHEME}"\r\n'
)


@pytest.fixture
def application(packaged: Path, tmp_path: Path) -> PackagedApplication:
    """An application of Laravel 8's time, which reads BROADCAST_DRIVER."""
    made = PackagedApplication(packaged, tmp_path / "application")
    made.replace(
        "config/broadcasting.php",
        "env('BROADCAST_CONNECTION', env('BROADCAST_DRIVER', 'null'))",
        "env('BROADCAST_DRIVER', 'null')",
    )
    made.dotenv_path.write_bytes(BEFORE)
    return made


def test_only_its_lines_change_and_come_back(application: PackagedApplication) -> None:
    """Twice is as once; the secret is not shown; `--restore` gives the old bytes; the mode stays."""
    application.dotenv_path.chmod(0o640)
    first = install(application, 6001, SECRET)
    assert first.returncode == 0, first.stdout + first.stderr
    assert application.dotenv_path.read_bytes() == AFTER
    assert application.dotenv_path.stat().st_mode & 0o777 == 0o640
    assert "key: import.meta.env.VITE_PUSHER_APP_KEY," in first.stdout
    second = install(application, 6001, SECRET)
    assert "Nothing to change" in second.stdout
    assert application.dotenv_path.read_bytes() == AFTER
    restored = application.run("pusher-server:install", "--restore")
    assert restored.returncode == 0, restored.stdout
    assert application.dotenv_path.read_bytes() == BEFORE
    assert application.dotenv_path.stat().st_mode & 0o777 == 0o640
    again = application.run("pusher-server:install", "--restore")
    assert (again.returncode, "nothing to restore" in again.stdout) == (1, True)
    for result in (first, second, restored):
        assert APP["secret"] not in result.stdout + result.stderr


def test_an_edited_file_is_restored_by_force_only(application: PackagedApplication) -> None:
    install(application, 6001, SECRET)
    edited = AFTER + b"NEW=1\r\n"
    application.dotenv_path.write_bytes(edited)
    refused = application.run("pusher-server:install", "--restore")
    assert (refused.returncode, "was edited" in refused.stdout) == (1, True)
    assert application.dotenv_path.read_bytes() == edited
    assert application.run("pusher-server:install", "--restore", "--force").returncode == 0
    assert application.dotenv_path.read_bytes() == BEFORE


def test_a_person_is_asked(application: PackagedApplication, server: RunningServer) -> None:
    """A wrong answer is asked for again; an empty one is the default; then the check passes."""
    answers = ["http://127.0.0.1", "127.0.0.1", "0", str(server.port), "", "7", APP["key"]]
    result = application.run(
        "pusher-server:install", input="\n".join([*answers, APP["secret"], ""])
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert 'without "http://"' in result.stdout
    assert "from 1 to 65535" in result.stdout
    assert APP["secret"] not in result.stdout + result.stderr
    checked = application.run("pusher-server:check")
    assert steps_of(checked.stdout)["Publication"].startswith("✓"), checked.stdout
    kept = application.run("pusher-server:install", "--no-interaction")
    assert "Nothing to change" in kept.stdout, "without options what .env has counts"


def test_browsers_may_have_another_address(application: PackagedApplication) -> None:
    """Its lines stay in a second run without the options; Mix has names of its own."""
    (application.directory / "webpack.mix.js").touch()
    options = ("--browser-host=ws.example.com", "--browser-port=443", "--browser-scheme=https")
    assert install(application, 6001, SECRET, *options).returncode == 0
    lines = application.dotenv_path.read_text("latin-1").splitlines()
    expected = ["HOST=ws.example.com", "PORT=443", "SCHEME=https"]
    assert [f"MIX_PUSHER_{line}" in lines for line in expected] == [True] * 3
    second = install(application, 6001, SECRET)
    assert "Nothing to change" in second.stdout
    assert "Kept: MIX_PUSHER_HOST=ws.example.com for browsers (--browser-host changes it)" in (
        second.stdout
    )
    assert "process.env.MIX_PUSHER_HOST" in second.stdout


def test_the_lines_for_echo_are_written_if_asked(application: PackagedApplication) -> None:
    """A file that is there is replaced by `--force` only, and comes back with `.env`."""
    script = application.directory / "resources" / "js" / "echo.js"
    assert "folder of resources/js/echo.js is missing" in (
        install(application, 6001, SECRET, "--echo=resources/js/echo.js").stdout
    )
    script.parent.mkdir(parents=True)
    script.write_text("// mine\n", "utf-8")
    refused = install(application, 6001, SECRET, "--echo=resources/js/echo.js")
    assert (refused.returncode, "add --force" in refused.stdout) == (1, True)
    assert application.dotenv_path.read_bytes() == BEFORE, "all or nothing"
    written = install(application, 6001, SECRET, "--echo=resources/js/echo.js", "--force")
    assert written.returncode == 0, written.stdout
    assert "broadcaster: 'pusher'" in script.read_text("utf-8")
    assert "window.Echo" not in written.stdout
    application.run("pusher-server:install", "--restore")
    assert script.read_text("utf-8") == "// mine\n"
    assert application.dotenv_path.read_bytes() == BEFORE


def test_a_linked_file_stays_a_link(application: PackagedApplication, tmp_path: Path) -> None:
    """Deployment tools link `.env` of each release to one file."""
    shared = tmp_path / "shared.env"
    application.dotenv_path.rename(shared)
    application.dotenv_path.symlink_to(shared)
    assert install(application, 6001, SECRET).returncode == 0
    assert application.dotenv_path.is_symlink()
    assert shared.read_bytes() == AFTER


@pytest.mark.parametrize(
    ("arguments", "given", "cause"),
    [
        (["--port=http"], SECRET, "--port: The port is a number"),
        (["--host=ws.example.com:6001"], SECRET, "--host: The host is a name"),
        (["--scheme=ws"], SECRET, "--scheme: The scheme is http or https"),
        (["--browser-port=0"], SECRET, "--browser-port: The port is a number"),
        (
            [],
            "PUSHER_APP_SECRET=\n",
            "PUSHER_APP_SECRET of --credentials=FILE: It may not be empty",
        ),
        ([], "PUSHER_APP_SECRET=null\n", "Laravel turns the words true, false, empty and null"),
        ([], "SECRET=x\n", "Standard input has none of the lines PUSHER_APP_ID="),
        ([], "PUSHER_APP_SECRET=a b\n", "Standard input is no file of credentials"),
        (["--credentials=missing"], "", "missing cannot be read"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value.strip() else None,
)
def test_what_cannot_be_used_changes_nothing(
    arguments: list[str], given: str, cause: str, application: PackagedApplication
) -> None:
    result = install(application, 6001, given, *arguments)
    assert (result.returncode, cause in result.stdout) == (1, True), result.stdout + result.stderr
    assert application.dotenv_path.read_bytes() == BEFORE
    assert not (application.directory / "storage" / "app").exists()


def test_a_file_that_laravel_does_not_read_is_named(application: PackagedApplication) -> None:
    """`config/broadcasting.php` of Laravel 8 knows hosted Pusher only; a cached configuration no `.env`."""
    for line in ("host", "port", "scheme"):
        path = application.directory / "config" / "broadcasting.php"
        rows = [row for row in path.read_text("utf-8").splitlines() if f"'{line}' =>" not in row]
        path.write_text("\n".join(rows), "utf-8")
    application.replace(
        "config/broadcasting.php", "'useTLS' => env('PUSHER_SCHEME', 'http') === 'https',", ""
    )
    assert application.run("config:cache").returncode == 0
    result = install(application, 6001, SECRET)
    assert result.returncode == 0, result.stdout
    assert "config/broadcasting.php does not read these lines" in result.stdout
    assert "'host' => env('PUSHER_HOST')," in result.stdout
    assert "The configuration is cached" in result.stdout


def test_without_a_file_it_is_asked_for(application: PackagedApplication) -> None:
    application.dotenv_path.unlink()
    result = install(application, 6001, SECRET)
    assert (result.returncode, "copy .env.example there first" in result.stdout) == (1, True)
