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
from pusher_server.errors import ConfigError
from pusher_server.migration import environment

T = TypeVar("T")

#: Seconds for an answer: the server gives its nodes some five.
_TIMEOUT = 10.0


class Operations:
    """The listener at `url`, or where the config file says; `named` is the file, None the usual one."""

    def __init__(self, url: str, named: Path | None) -> None:
        path = config_file.choose(named, Path.cwd())
        listeners = _listeners(path)
        #: Addresses with their headers, the likeliest first.
        self._listeners = {url.rstrip("/"): listeners.popitem()[1]} if url else listeners

    def get(self, path: str, parameters: Mapping[str, str], kind: type[T]) -> T:
        """Return the answer of a page. Raises ClickException in words for the operator."""
        return self._answer("GET", path, kind, params=dict(parameters))

    def order(self, order: msgspec.Struct, kind: type[T]) -> T:
        """Return the answer to an order. Raises as `get`."""
        return self._answer("POST", "/orders", kind, content=msgspec.json.encode(order))

    def _answer(self, method: str, path: str, kind: type[T], **request: Any) -> T:
        answer, url = self._response(method, path, **request)
        if answer.status_code != 200:
            text = " ".join(answer.text.split())[:200]
            raise click.ClickException(f"{url}{path} answers {answer.status_code}: {text}")
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise click.ClickException(
                f"{url}{path} answers something else: is that the operations listener of this release?"
            ) from None

    def _response(self, method: str, path: str, **request: Any) -> tuple[httpx.Response, str]:
        """The response of the first listener that can be reached, and its address."""
        problems: list[str] = []
        for url, headers in self._listeners.items():
            try:
                answer = httpx.request(
                    method,
                    f"{url}{path}",
                    headers=headers,
                    timeout=_TIMEOUT,
                    trust_env=False,
                    **request,
                )
            except httpx.ConnectError as error:
                problems.append(f"{url} cannot be reached ({error})")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problems.append(f"{url} cannot be reached ({error})")
                break  # an order may have been carried out
            else:
                return answer, url
        raise click.ClickException(
            f"{', '.join(problems)}: does the server run, with operations.enabled?"
        )


def _listeners(path: Path | None) -> dict[str, dict[str, str]]:
    """The address and the headers of each listener that the settings allow for, the likeliest first.

    The server may have been started with --env-style. A config file is the likelier one. Raises ConfigError.
    """
    readings = list(environment.as_started(os.environ))
    if path is not None:
        readings.reverse()
    listeners: dict[str, dict[str, str]] = {}
    refusal: ConfigError | None = None
    for variables in readings:
        try:
            settings = load(path, variables, {}).operations
        except ConfigError as error:
            refusal = error
            continue
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        shown = f"[{host}]" if ":" in host else host
        headers = {"x-pusher-server-order": "1"}
        if settings.token:
            headers["authorization"] = f"Bearer {settings.token}"
        listeners.setdefault(f"http://{shown}:{settings.port}", headers)
    if not listeners and refusal is not None:
        raise refusal
    return listeners
