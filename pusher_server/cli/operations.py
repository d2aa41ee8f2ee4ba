"""Asks a running server over its operations listener.

The token comes from the environment or the config file, never from the arguments, which other users can read.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import httpx
import msgspec

from pusher_server.cli import config_file
from pusher_server.config import load

T = TypeVar("T")

#: Seconds for an answer: the server gives its nodes some five.
_TIMEOUT = 10.0


class Operations:
    """The listener at `url`, or where the config file says; `named` is the file, None the usual one."""

    def __init__(self, url: str, named: Path | None) -> None:
        settings = load(config_file.choose(named, Path.cwd()), os.environ, {}).operations
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        shown = f"[{host}]" if ":" in host else host
        self.url = (url or f"http://{shown}:{settings.port}").rstrip("/")
        self._headers = {"x-pusher-server-order": "1"}
        if settings.token:
            self._headers["authorization"] = f"Bearer {settings.token}"

    def get(self, path: str, parameters: Mapping[str, str], kind: type[T]) -> T:
        """Return the answer of a page. Raises ClickException in words for the operator."""
        return self._answer("GET", path, kind, params=dict(parameters))

    def order(self, order: msgspec.Struct, kind: type[T]) -> T:
        """Return the answer to an order. Raises as `get`."""
        return self._answer("POST", "/orders", kind, content=msgspec.json.encode(order))

    def _answer(self, method: str, path: str, kind: type[T], **request: Any) -> T:
        try:
            answer = httpx.request(
                method,
                f"{self.url}{path}",
                headers=self._headers,
                timeout=_TIMEOUT,
                trust_env=False,
                **request,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise click.ClickException(
                f"{self.url} cannot be reached ({error}): does the server run, with operations.enabled?"
            ) from None
        if answer.status_code != 200:
            text = " ".join(answer.text.split())[:200]
            raise click.ClickException(f"{self.url}{path} answers {answer.status_code}: {text}")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise click.ClickException(
                f"{self.url}{path} answers something else: is that the operations listener of this release?"
            ) from None
