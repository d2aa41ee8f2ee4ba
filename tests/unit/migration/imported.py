"""Drafts as tests look at them."""

from typing import Any

from pusher_server.migration.draft import Draft
from pusher_server.migration.findings import Finding, Verdict


def app(draft: Draft, index: int = 0) -> dict[str, Any]:
    """The table of one app."""
    return draft.apps[index]


def setting(draft: Draft, path: str) -> Any:
    """A setting by its dotted path; None when it was not written."""
    value: Any = draft.table
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def findings(draft: Draft, verdict: Verdict, source: str = "") -> list[Finding]:
    """The findings of a kind whose source ends with `source`."""
    return [
        finding
        for finding in draft.findings
        if finding.verdict is verdict and finding.source.endswith(source)
    ]


def is_noted(draft: Draft, verdict: Verdict, source: str) -> bool:
    """Whether there is such a finding."""
    return bool(findings(draft, verdict, source))
