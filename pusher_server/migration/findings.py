"""The findings of an import, one for each setting of the other server, and the table that shows them."""

import textwrap
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Literal

from msgspec import Struct


class Verdict(Enum):
    """The result for a setting of the other server; the value is the heading in the table."""

    TAKEN = "taken over"
    CHANGED = "changed, and why"
    IMPOSSIBLE = "not possible, and what to do"
    UNSAFE = "unsafe before"


class Finding(Struct, frozen=True):
    """One line of the table. `source` is the setting's name at the other server."""

    verdict: Verdict
    source: str
    #: Our setting with its value, or "" when there is none; no secret.
    result: str
    note: str = ""


class Question(Struct, frozen=True):
    """A value that the files do not say. `name` is what an answer is given to."""

    name: str
    text: str
    kind: Literal["text", "secret"] = "text"


#: Settings whose values are shown as `***`.
_SECRETS = {"secret", "password", "key_password", "sentinel_password", "token"}
#: Settings that may hold a password inside.
_URLS = {"url"}
_LONGEST = 60


def shown(setting: str, value: object) -> str:
    """A value for the table, without secrets and in one short line."""
    name = setting.rpartition(".")[2]
    if value in (None, ""):
        return '""'
    if name in _SECRETS:
        return "***"
    if name in _URLS and "@" in str(value):
        scheme, _, rest = str(value).partition("://")
        return f"{scheme}://***@{rest.rpartition('@')[2]}"
    if name == "webhooks" and isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    text = (
        ", ".join(str(item) for item in value) or "[]"
        if isinstance(value, list | tuple)
        else str(value)
    )
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def table(findings: Iterable[Finding], width: int = 100) -> str:
    """The findings as text, by verdict; an empty part says so."""
    by_verdict: dict[Verdict, list[Finding]] = {verdict: [] for verdict in Verdict}
    for finding in findings:
        by_verdict[finding.verdict].append(finding)
    parts = []
    for verdict, of_verdict in by_verdict.items():
        lines = list(_lines(of_verdict, width)) or ["  nothing"]
        parts.append("\n".join([f"{verdict.value} ({len(of_verdict)})", *lines]))
    return "\n\n".join(parts)


def _lines(findings: list[Finding], width: int) -> Iterator[str]:
    column = min(44, max((len(finding.source) for finding in findings), default=0)) + 2
    for finding in findings:
        text = " · ".join(filter(None, (finding.result, finding.note)))
        wrapped = textwrap.wrap(text, max(24, width - column - 2)) or [""]
        label = finding.source
        if len(label) >= column:
            yield f"  {label}"
            label = ""
        for line in wrapped:
            yield f"  {label:{column}}{line}".rstrip()
            label = ""
