"""`--env-style`, and what commands without it say about another server's variables."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from pusher_server.cli.main import main

VARIABLES = {
    "SOKETI_DEFAULT_APP_ID": "1",
    "SOKETI_DEFAULT_APP_KEY": "k",
    "SOKETI_DEFAULT_APP_SECRET": "s" * 20,
    "SOKETI_CLUSTER_PORT": "1",
}


@pytest.fixture(autouse=True)
def _surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty directory, and no variables of any server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"PATH": os.environ.get("PATH", "")})


class TestEnvStyle:
    """`--env-style` of `check-config`; `serve` has the same option."""

    def test_the_variables_are_understood(self) -> None:
        os.environ.update(VARIABLES)
        result = CliRunner().invoke(
            main, ["check-config", "--env-style", "soketi"], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        assert "app 1: key k" in result.output
        assert "SOKETI_CLUSTER_PORT has no counterpart here" in result.output

    def test_without_it_they_have_one_line(self) -> None:
        os.environ.update(VARIABLES)
        result = CliRunner().invoke(main, ["check-config"], catch_exceptions=False)
        assert "and 3 more: variables of soketi have no effect here" in result.output

    @pytest.mark.parametrize("command", ["check-config", "serve"])
    def test_a_refused_start_has_that_line_too(self, command: str) -> None:
        """As in the image: it listens on every interface, where the embedded app does not start."""
        os.environ.update({**VARIABLES, "PUSHER_SERVER__SERVER__HOST": "0.0.0.0"})
        result = CliRunner().invoke(main, [command])
        assert result.exit_code == 2
        notice, refusal = result.stderr.splitlines()
        assert "and 3 more: variables of soketi have no effect here" in notice
        assert "PUSHER_APP_" in refusal

    @pytest.mark.parametrize(
        "command",
        [
            ("apps", "list"),
            ("token", "1", "--socket-id", "1.2", "--channel", "private-a"),
            ("webhooks", "dead", "1"),
        ],
    )
    def test_a_refusal_of_a_command_without_it_has_that_line_too(
        self, command: tuple[str, ...]
    ) -> None:
        """Such as beside a server that was started with it."""
        os.environ.update({**VARIABLES, "PUSHER_SERVER__SERVER__HOST": "0.0.0.0"})
        result = CliRunner().invoke(main, [*command])
        assert result.exit_code == 2
        assert "and 3 more: variables of soketi have no effect here" in result.stderr
