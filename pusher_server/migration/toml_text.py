"""Writes a configuration as TOML that people go on editing (toml.io, version 1.0)."""

import json
from collections.abc import Iterator, Mapping, Sequence

from pusher_server.migration.findings import shown

#: Tables in the order of config.example.toml.
_ORDER = (
    "server",
    "websocket",
    "http",
    "operations",
    "log",
    "cluster",
    "webhooks",
    "database",
    "defaults",
)


def write_toml(
    table: Mapping[str, object],
    apps: Sequence[Mapping[str, object]],
    heading: Sequence[str],
    *,
    reveal: bool = True,
) -> str:
    """The text of a config file. `heading`: its first lines, as comments. `reveal`: write secrets."""
    lines = [f"# {line}".rstrip() for line in heading]
    for name in sorted(table, key=lambda name: _ORDER.index(name) if name in _ORDER else 99):
        section = table[name]
        assert isinstance(section, Mapping)
        lines.extend(_table(section, name, reveal))
    for app in apps:
        lines.extend(_app(app, reveal))
    return "\n".join(lines) + "\n"


def _table(section: Mapping[str, object], path: str, reveal: bool) -> Iterator[str]:
    """A table, with the tables inside it behind its own settings."""
    plain = {name: value for name, value in section.items() if not isinstance(value, Mapping)}
    if plain:
        yield from ("", f"[{path}]")
        yield from _settings(plain, reveal)
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _table(value, f"{path}.{_name(name)}", reveal)


def _app(app: Mapping[str, object], reveal: bool) -> Iterator[str]:
    yield from ("", "[[apps]]")
    limits = app.get("limits", {})
    webhooks = app.get("webhooks", [])
    assert isinstance(limits, Mapping)
    assert isinstance(webhooks, list)
    yield from _settings(
        {name: app[name] for name in app if name not in ("limits", "webhooks")}, reveal
    )
    for name, value in limits.items():
        yield f"limits.{_name(name)} = {_value(value)}"
    for webhook in webhooks:
        yield from ("", "[[apps.webhooks]]")
        hidden = () if reveal else ("headers", "url")
        yield from _settings(
            {name: "***" if name in hidden else webhook[name] for name in webhook}, True
        )


def _settings(settings: Mapping[str, object], reveal: bool) -> Iterator[str]:
    for name, value in settings.items():
        if not reveal and "***" in shown(name, value):
            value = shown(name, value)
        yield f"{_name(name)} = {_value(value)}"


def _name(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _text(name)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        items = ", ".join(f"{_name(str(name))} = {_value(item)}" for name, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return _text(str(value))


def _text(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
