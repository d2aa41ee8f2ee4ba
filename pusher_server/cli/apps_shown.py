"""Prints apps: for people a line per setting, for programs JSON. Secrets only on request."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pusher_server.app import App, Webhook

_HIDDEN = "***"


def brief(app: "App") -> dict[str, object]:
    """The short form of an app in a list."""
    keys = [pair.key for pair in app.keys]
    return {"id": app.id, "name": app.name, "enabled": app.enabled, "keys": keys}


def print_app(app: "App", *, reveal: bool, as_json: bool) -> None:
    """Print all settings of an app; with `reveal` also the secrets of its keys and webhooks."""
    tree = _tree(app, reveal=reveal)
    if as_json:
        print_json(tree)
        return
    keys = tree.pop("keys")
    lines = {
        "id": tree.pop("id"),
        **{f"key {number}": pair["key"] for number, pair in enumerate(keys, 1)},
        **{f"secret {n}": pair["secret"] for n, pair in enumerate(keys, 1) if reveal},
        **dict(_flat(tree)),
    }
    for name, value in lines.items():
        click.echo(f"{name}: {_in_words(value)}")
    if not reveal:
        click.echo(f"(`pusher-server apps show {app.id} --reveal` prints secrets)")


def print_json(tree: object) -> None:
    """Print JSON, for programs."""
    click.echo(json.dumps(tree, ensure_ascii=False, indent=2))


def _tree(app: "App", *, reveal: bool) -> dict[str, Any]:
    import msgspec

    tree: dict[str, Any] = msgspec.to_builtins(app)
    if not reveal:
        tree["keys"] = [{"key": pair["key"]} for pair in tree["keys"]]
    tree["webhooks"] = [_webhook(webhook, reveal=reveal) for webhook in app.webhooks]
    return tree


def _webhook(webhook: "Webhook", *, reveal: bool) -> dict[str, Any]:
    """A webhook's settings, with the id that the commands `webhooks …` use."""
    import msgspec

    tree: dict[str, Any] = {"id": webhook.id, **msgspec.to_builtins(webhook)}
    if not reveal:
        tree["url"] = webhook.shown_url
        tree["headers"] = dict.fromkeys(webhook.headers, _HIDDEN)
    return tree


def _flat(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Settings by their path: `limits.connections`, `webhooks[0].url`."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{name}.")
        elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
            for index, item in enumerate(value):
                yield from _flat(item, f"{path}{name}[{index}].")
        else:
            yield f"{path}{name}", value


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
