"""`pusher_server.cli.operations`: answers of what may be no server of ours."""

from pathlib import Path

import click
import httpx
import msgspec
import pytest

from pusher_server.cli.operations import Operations

CONFIG = Path(__file__).parents[2] / "config.example.toml"


class Answer(msgspec.Struct):
    """An answer with one field."""

    app: str


def answered(monkeypatch: pytest.MonkeyPatch, body: bytes, status: int = 200) -> Answer:
    """What is made of this body."""
    monkeypatch.setattr(httpx, "request", lambda *_, **__: httpx.Response(status, content=body))
    return Operations("http://127.0.0.1:9601", CONFIG).get("/why", {}, Answer)


def test_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a server of ours."""
    assert answered(monkeypatch, b'{"app":"7"}') == Answer("7")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff",
        b'{"app":"\xff"}',
        b"{}",
        b'{"app":"7","more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["empty", "html", "byte", "text", "field", "deep"],
)
def test_another_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with pytest.raises(click.ClickException, match="answers something else"):
        answered(monkeypatch, body)


def test_a_refusal_has_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """On one line, whatever it is."""
    with pytest.raises(click.ClickException, match=r"/why answers 403: a b$"):
        answered(monkeypatch, b"a\n\nb\n", 403)
