"""The files for a Laravel backend: valid PHP, and the same names everywhere in the example."""

import json
import re
import subprocess

import pytest

from tests.examples.programs import EXAMPLE, TOP, program

LARAVEL = EXAMPLE / "laravel"
PHP_FILES = sorted(LARAVEL.rglob("*.php"))
EVENTS = ("created", "updated", "deleted")


def text(name: str) -> str:
    return (EXAMPLE / name).read_text("utf-8")


def event_class(event: str) -> str:
    return text(f"laravel/app/Events/Comment{event.capitalize()}.php")


@pytest.mark.parametrize("path", PHP_FILES, ids=lambda path: str(path.relative_to(LARAVEL)))
def test_php_accepts_the_file(path: object) -> None:
    """`php -l` finds no syntax error."""
    result = subprocess.run(
        [program("php", "php-cli"), "-l", str(path)], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_all_files_are_there() -> None:
    """What the issue asks for is in the folder."""
    names = {str(path.relative_to(LARAVEL)) for path in PHP_FILES}
    assert {
        "app/Events/CommentCreated.php",
        "app/Events/CommentUpdated.php",
        "app/Events/CommentDeleted.php",
        "app/Http/Controllers/CommentController.php",
        "app/Http/Resources/CommentResource.php",
        "bootstrap/app.php",
        "config/broadcasting.php",
        "routes/channels.php",
    } <= names


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_named_and_listened_to_alike(event: str) -> None:
    """PHP class, stand-in backend, page and script use one name; Echo's has a leading dot."""
    name = f"comment.{event}"
    assert f"return '{name}';" in event_class(event)
    assert f'"{name}"' in text("backend/routes.py")
    assert f"'.{name}'" in text("web/realtime.js")
    assert f"'{name}'" in text("scripts/websocket-comments/comment_events.js")


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_queued_private_and_spares_its_author(event: str) -> None:
    """Each class broadcasts after the commit, on the session's private channel, to others."""
    php = event_class(event)
    assert f"class Comment{event.capitalize()} implements ShouldBroadcast, ShouldDispatch" in php
    assert "use InteractsWithSockets;" in php
    assert "new PrivateChannel('session.'.$this->sessionId)" in php
    assert "use SerializesModels" not in php  # a deleted model cannot be loaded again
    controller = text("laravel/app/Http/Controllers/CommentController.php")
    assert f"broadcast(new Comment{event.capitalize()}($comment))->toOthers();" in controller


def test_resource_and_stand_in_have_the_same_fields() -> None:
    """The stand-in's comment has the fields of `CommentResource`, in its order."""
    php = text("laravel/app/Http/Resources/CommentResource.php")
    python = text("backend/comment_store.py")
    resource = python[python.index("def _comment_resource") : python.index("def _timestamp")]
    in_php = re.findall(r"'(\w+)' =>", php)
    assert in_php == [
        "id",
        "session_id",
        "content",
        "user",
        "id",
        "name",
        "created_at",
        "updated_at",
    ]
    assert re.findall(r'"(\w+)":', resource) == in_php


def test_channels_are_those_of_the_page() -> None:
    """Both rules of `routes/channels.php` are what page and script join."""
    php = text("laravel/routes/channels.php")
    assert "Broadcast::channel('session.{session}'" in php
    assert "Broadcast::channel('online-users'" in php
    assert ".private(`session.${sessionId}`)" in text("web/realtime.js")
    assert ".join('online-users')" in text("web/realtime.js")


def test_the_time_out_stands_where_the_library_reads_it() -> None:
    """pusher-php-server sets `options.timeout`, or 30 s, over one in `client_options`."""
    code = (
        "function env($name, $default = null) { return $default; }"
        f"echo json_encode((include {json.dumps(str(LARAVEL / 'config/broadcasting.php'))}));"
    )
    command = [program("php", "php-cli"), "-r", code]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    pusher = json.loads(shown)["connections"]["pusher"]
    assert pusher["options"]["timeout"] == 5
    assert "timeout" not in pusher["client_options"]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "examples/comments/README.fr.md",
        "examples/comments/laravel/README.md",
        "examples/comments/laravel/.env.example",
        "examples/comments/scripts/websocket-comments/diagnosis.js",
    ],
)
def test_the_worker_is_started_with_its_options(name: str) -> None:
    """By default it polls every 3 s and tries a job once; each place that starts it says better."""
    page = (TOP / name).read_text("utf-8")
    assert "queue:work --sleep=0.1 --tries=5 --backoff=1" in page
    started = [line for line in page.splitlines() if re.match(r" *php artisan queue:work", line)]
    assert all("--tries=5 --backoff=1" in line for line in started)


@pytest.mark.parametrize(
    "name", ["examples/comments/README.fr.md", "examples/comments/laravel/README.md"]
)
@pytest.mark.parametrize(
    "fact",
    [
        "block_for",
        "'timeout' => 5",
        "'path' => '/ws/'",
        "'broadcasting/auth'",
        "SESSION_TABLE",
        "php artisan install:api",
        "HasApiTokens",
        "createToken(",
        "Laravel 13",
    ],
)
def test_both_languages_have_the_facts(name: str, fact: str) -> None:
    """What the trials in Laravel applications taught is in the pages that people copy from."""
    assert fact in (TOP / name).read_text("utf-8")
