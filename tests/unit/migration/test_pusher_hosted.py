"""`pusher_server.migration.pusher_hosted`: a `.env`, and the settings of Pusher's dashboard as answers."""

import pytest

from pusher_server.errors import ConfigError
from pusher_server.migration import pusher_hosted
from pusher_server.migration.draft import Draft
from pusher_server.migration.findings import Question, Verdict
from tests.unit.migration.imported import app, findings, is_noted, setting

VARIABLES = {
    "PUSHER_APP_ID": "1",
    "PUSHER_APP_KEY": "k",
    "PUSHER_APP_SECRET": "s",
    "PUSHER_APP_CLUSTER": "eu",
}


def read(variables: dict[str, str] | None = None, **answers: str) -> Draft:
    """The draft with these answers and no others."""

    def answer(question: Question) -> str | None:
        return answers.get(question.name)

    return pusher_hosted.read({**VARIABLES, **(variables or {})}, ".env", answer)


def test_without_answers_it_is_pushers_default_and_each_question_is_named() -> None:
    """Client events are off there until someone switches them on."""
    draft = read()
    assert app(draft) == {"id": "1", "key": "k", "secret": "s", "client_events": "off"}
    assert setting(draft, "server.host") == "0.0.0.0"
    assert {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)} == {
        "client_events",
        "authorized_connections",
        "subscription_counting",
        "watchlist",
        "connections",
        "webhooks",
        "allowed_origins",
    }
    assert is_noted(draft, Verdict.UNSAFE, "allowed_origins")


def test_answers() -> None:
    """In the words that people type."""
    draft = read(
        client_events="Yes",
        authorized_connections="on",
        subscription_counting="y",
        watchlist="no",
        connections="500",
        webhooks="https://a.example/h, https://b.example/h",
        allowed_origins="https://shop.example",
    )
    assert app(draft) == {
        "id": "1",
        "key": "k",
        "secret": "s",
        "client_events": "members",
        "authorization_timeout": 30,
        "subscription_count": True,
        "limits": {"connections": 500},
        "webhooks": [{"url": "https://a.example/h"}, {"url": "https://b.example/h"}],
        "allowed_origins": ["shop.example"],
    }
    assert findings(draft, Verdict.IMPOSSIBLE) == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("client_events", "perhaps"),
        ("connections", "many"),
        ("connections", "-1"),
        ("webhooks", "not a url"),
    ],
)
def test_a_wrong_answer_is_one_sentence(name: str, answer: str) -> None:
    """That names the answer."""
    with pytest.raises(ConfigError, match=f"^--answer {name}: "):
        read(**{name: answer})


def test_another_host_is_not_hosted_pusher() -> None:
    """Then the variables are of a server of one's own."""
    with pytest.raises(ConfigError, match=r"PUSHER_HOST is 127\.0\.0\.1"):
        read({"PUSHER_HOST": "127.0.0.1"})
    assert read({"PUSHER_HOST": "api-eu.pusher.com"}).apps


def test_half_a_file_is_one_sentence() -> None:
    """That names the variable."""
    with pytest.raises(ConfigError, match="has no PUSHER_APP_SECRET"):
        read({"PUSHER_APP_SECRET": ""})
