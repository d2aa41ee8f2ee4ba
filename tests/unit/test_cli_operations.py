"""`pusher_server.cli.operations`: answers of what may be no server of ours."""

import os
from pathlib import Path
from typing import ClassVar

import click
import httpx
import msgspec
import pytest

from pusher_server.cli.operations import Operations
from pusher_server.errors import ConfigError

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


class TestWhereTheListenerIs:
    """Without --operations: from the config file, and from variables as `serve` may have read them."""

    SOKETI: ClassVar = {
        "PUSHER_SERVER__SERVER__HOST": "0.0.0.0",  # as the image sets it
        "SOKETI_DEFAULT_APP_ID": "1",
        "SOKETI_DEFAULT_APP_KEY": "k",
        "SOKETI_DEFAULT_APP_SECRET": "s" * 20,
        "SOKETI_METRICS_SERVER_PORT": "9702",
    }

    @pytest.fixture(autouse=True)
    def _surroundings(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An empty directory, and no variables."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(os, "environ", {})

    def reached(self, monkeypatch: pytest.MonkeyPatch, *there: str) -> list[str]:
        """The addresses that are tried when servers answer at `there` only."""
        tried: list[str] = []

        def request(_method: str, url: str, **_: object) -> httpx.Response:
            tried.append(url.removesuffix("/why"))
            if tried[-1] not in there:
                raise httpx.ConnectError("refused")
            return httpx.Response(200, content=b'{"app":"7"}')

        monkeypatch.setattr(httpx, "request", request)
        Operations("", None).get("/why", {}, Answer)
        return tried

    def test_a_container_with_soketis_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whose embedded app would be refused at 0.0.0.0."""
        os.environ.update(self.SOKETI)
        at = "http://127.0.0.1:9702"
        assert self.reached(monkeypatch, at) == [at]

    def test_a_container_with_reverbs_variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        os.environ.update(
            {"PUSHER_SERVER__SERVER__HOST": "0.0.0.0", "REVERB_APP_ID": "1"}
            | {"REVERB_APP_KEY": "k", "REVERB_APP_SECRET": "s" * 20}
        )
        at = "http://127.0.0.1:9601"
        assert self.reached(monkeypatch, at) == [at]

    def test_a_server_that_was_started_without_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        del (variables := dict(self.SOKETI))["PUSHER_SERVER__SERVER__HOST"]
        os.environ.update(variables)
        tried = self.reached(monkeypatch, "http://127.0.0.1:9601")
        assert tried == ["http://127.0.0.1:9702", "http://127.0.0.1:9601"]

    def test_a_config_file_goes_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """And a variable of ours before all."""
        os.environ.update(self.SOKETI)
        Path("pusher-server.toml").write_text(
            '[operations]\nport = 9801\n[[apps]]\nid = "1"\nkey = "k"\nsecret = "hidden-hidden"\n'
        )
        file, soketis = "http://127.0.0.1:9801", "http://127.0.0.1:9702"
        assert self.reached(monkeypatch, file) == [file]
        assert self.reached(monkeypatch, soketis) == [file, soketis]
        os.environ["PUSHER_SERVER__OPERATIONS__PORT"] = "9901"
        ours = "http://127.0.0.1:9901"
        assert self.reached(monkeypatch, ours) == [ours]

    def test_nowhere_is_one_sentence_that_names_each_place(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del (variables := dict(self.SOKETI))["PUSHER_SERVER__SERVER__HOST"]
        os.environ.update(variables)
        with pytest.raises(click.ClickException, match=r":9702 cannot.*:9601 cannot.*: does the"):
            self.reached(monkeypatch)

    def test_a_timeout_is_not_tried_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The order may have been carried out."""
        os.environ.update(self.SOKETI)
        tried: list[str] = []

        def request(_method: str, url: str, **_: object) -> httpx.Response:
            tried.append(url)
            raise httpx.ReadTimeout("too long")

        monkeypatch.setattr(httpx, "request", request)
        with pytest.raises(click.ClickException, match="9702 cannot be reached"):
            Operations("", None).order(Answer("7"), Answer)
        assert len(tried) == 1

    def test_a_refused_configuration_is_the_plain_one(self) -> None:
        """When no style can be used either."""
        os.environ.update({"PUSHER_SERVER__SERVER__HOST": "0.0.0.0", "SOKETI_PORT": "1"})
        with pytest.raises(ConfigError, match="published example credentials"):
            Operations("", None)
