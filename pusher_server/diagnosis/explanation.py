"""The answer to "why does nothing arrive?" for the whole cluster: findings, facts, the steps of an event."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from pusher_server.diagnosis import guided, report, silence
from pusher_server.diagnosis.channel_names import variants
from pusher_server.diagnosis.findings import Finding, merged
from pusher_server.diagnosis.report import MissedRow, ProcessReport, Question
from pusher_server.diagnosis.silence import AppReport

#: The backend's own view of our address, for a line to paste.
_URL = "http://PUSHER_HOST:PUSHER_PORT"
#: Apps without a client that are compared with apps without a publication.
_CROSSED = 20


class WhyQuestion(Struct, frozen=True, kw_only=True, tag="why"):
    """An operator's question. Empty: all apps, no channel, no event."""

    app: str = ""
    channel: str = ""
    event: str = ""


class Explanation(Struct, kw_only=True):
    """`answered` of `nodes` nodes have reported; with fewer than all, nothing is said about silence."""

    nodes: int
    answered: int
    findings: list[Finding]
    #: Events that nobody received, the latest first: facts, and no fault by themselves.
    missed: list[MissedRow]
    apps: dict[str, AppReport]
    #: Of the channel that the question names.
    steps: list[guided.Step] = []


class Wanted(Struct, frozen=True):
    """Names to look up in the cluster before the answer is complete: those of an app."""

    app: str
    names: tuple[str, ...]


def wanted(question: Question, reports: Sequence[ProcessReport]) -> list[Wanted]:
    """Return what `explanation` needs to know of the roster."""
    names: list[Wanted] = []
    if question.channel:
        channel = question.channel
        names.append(Wanted(question.app, (channel, *variants(channel))))
    apps = report.app_reports(reports)
    for app, channel, _ in _uncovered(apps, reports):
        names += [Wanted(other, (channel,)) for other in _unpublished(apps, app)]
    return names


def explanation(
    question: Question,
    event: str,
    reports: Sequence[ProcessReport],
    nodes: int,
    held: Mapping[str, Mapping[str, int]],
) -> Explanation:
    """Return the answer. `held`: app -> name -> subscribers, of the names in `wanted` that have any."""
    apps = report.app_reports(reports)
    findings = [item for one in reports for item in one.findings]
    if len(reports) >= nodes:
        findings += report.silences(apps, reports, _URL)
        for app, channel, name in _uncovered(apps, reports):
            elsewhere = {other: held.get(other, {}).get(channel, 0) for other in apps}
            crossed = silence.crossed(app, apps, channel, name, elsewhere)
            findings += [] if crossed is None else [crossed]
    missed = sorted((row for one in reports for row in one.missed), key=lambda row: row.last)
    steps: list[guided.Step] = []
    if question.channel:
        own, names = apps.get(question.app, AppReport()), held.get(question.app, {})
        steps = guided.steps(own, question.channel, event, names, reports)
    return Explanation(
        nodes=max(nodes, len(reports)),
        answered=len(reports),
        findings=merged([findings]),
        missed=missed[: report.ROWS],
        apps=apps,
        steps=steps,
    )


def _uncovered(
    apps: Mapping[str, AppReport], reports: Sequence[ProcessReport]
) -> list[tuple[str, str, str]]:
    """Return app, channel and event of publications to apps that never had a client, one for each app."""
    first: dict[str, tuple[str, str, str]] = {}
    for row in (row for one in reports for row in one.missed):
        own = apps.get(row.app)
        if own is not None and not own.ever_connected:
            first.setdefault(row.app, (row.app, row.channel, row.event))
    return list(first.values())[:_CROSSED]


def _unpublished(apps: Mapping[str, AppReport], app: str) -> list[str]:
    """Return the other apps that have clients and no publication."""
    others = [name for name, row in apps.items() if name != app]
    return [name for name in others if apps[name].connections and not apps[name].published][
        :_CROSSED
    ]
