"""The line that listens to an event, read back as laravel-echo's EventFormatter does it."""

import json
import re

import pytest

from pusher_server.diagnosis.event_names import fault, listening, repaired

NAMES = [
    "comment.created",
    "App\\Events\\CommentCreated",
    "App\\Events\\Chat\\MessageSent",
    "App\\Events\\Chat.Sent",
    "App\\Events\\",
    "App\\Events",
    "Modules\\Blog\\Events\\Created",
    "it's",
    "e",
    "created.",
]


def formatted(given: str) -> str:
    """What Echo binds for the argument of `listen` (EventFormatter.format, namespace App.Events)."""
    if given[0] in ".\\":
        return given[1:]
    return re.sub(r"\.", r"\\", f"App.Events.{given}")


def argument(line: str) -> str:
    """The string of JavaScript in `.listen('…', …)`."""
    found = re.search(r"\.listen\('((?:[^'\\]|\\.)*)', \(e\) => …\)$", line)
    assert found is not None, line
    return str(json.loads('"' + found[1].replace("\\'", "'") + '"'))


@pytest.mark.parametrize("name", NAMES)
def test_the_line_binds_the_name_that_is_on_the_wire(name: str) -> None:
    assert formatted(argument(listening("private-a", name))) == name


@pytest.mark.parametrize(
    ("channel", "event", "line"),
    [
        ("private-session.42", "comment.created",
         "Echo.private('session.42').listen('.comment.created', (e) => …)"),
        ("a", "App\\Events\\CommentCreated", "Echo.channel('a').listen('CommentCreated', (e) => …)"),
        ("presence-a", "App\\Events\\Chat\\MessageSent",
         "Echo.join('a').listen('Chat.MessageSent', (e) => …)"),
        ("private-a", "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated",
         "Echo.private('a').notification((notification) => …)"),
        ("private-a", "client-typing", "Echo.private('a').listenForWhisper('typing', (e) => …)"),
    ],
)  # fmt: skip
def test_the_line_to_write(channel: str, event: str, line: str) -> None:
    assert listening(channel, event) == line


@pytest.mark.parametrize("name", NAMES)
def test_a_good_name_has_no_fault(name: str) -> None:
    assert fault(name) == ""


@pytest.mark.parametrize(
    ("name", "cause", "meant"),
    [
        (".comment.created", "event_dot", "comment.created"),
        ("\\App\\Events\\E", "event_dot", "App\\Events\\E"),
        ("App\\\\Events\\\\E", "event_escaped", "App\\Events\\E"),
        ("App\\\\\\\\Events\\\\\\\\E", "event_escaped", "App\\Events\\E"),
        (" e", "event_blank", "e"),
        (" .e", "event_blank", "e"),
        ("e\n", "event_blank", "e"),
    ],
)
def test_a_name_that_nobody_listens_to(name: str, cause: str, meant: str) -> None:
    assert fault(name) == cause
    assert repaired(name) == meant
    assert fault(meant) == ""
