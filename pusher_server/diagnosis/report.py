"""The evidence of each process as values that travel between nodes as JSON, and what follows from them all."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from pusher_server.diagnosis import entry, near_misses, silence
from pusher_server.diagnosis.channel_names import parts_of
from pusher_server.diagnosis.evidence import Evidence
from pusher_server.diagnosis.findings import Finding, merged
from pusher_server.diagnosis.silence import AppReport

#: Rows and apps that one process reports, the latest and the largest.
ROWS = 64
APPS = 200


class Question(Struct, frozen=True, kw_only=True, tag="why"):
    """A question about one app, or all (""), and about one channel of it."""

    app: str = ""
    channel: str = ""


class MissedRow(Struct, frozen=True, kw_only=True):
    """An event that nobody received on one node. `first` and `last` are seconds ago.

    `subscribers`: how many the channel had in the cluster when it was looked up.
    """

    app: str
    channel: str
    event: str
    count: int
    first: float
    last: float
    subscribers: int = 0


class ChannelReport(Struct, kw_only=True):
    """A channel on one node. `delivered`: seconds since an event went to a subscriber, None is never."""

    subscribers: int = 0
    pending: int = 0
    delivered: float | None = None


class ProcessReport(Struct, kw_only=True):
    """The evidence of one process, for one question."""

    node: str
    findings: list[Finding]
    apps: dict[str, AppReport]
    missed: list[MissedRow]
    channel: ChannelReport


def of_process(
    node: str, evidence: Evidence, question: Question, channel: ChannelReport
) -> ProcessReport:
    """Return what one process knows. The caller has looked up what nobody received."""
    now = evidence.clock()
    findings = [*entry.refusals(evidence), *entry.loops(evidence, now)]
    findings += entry.idle_cuts(evidence, now)
    findings += near_miss_findings(evidence, now)
    for (app, name, event), (count, first, last) in evidence.names.items():
        wrong = near_misses.wrong_name(
            app, name, event, count=count, first=now - first, last=now - last
        )
        if wrong is not None:
            findings.append(wrong)
    if question.app:
        findings = [item for item in findings if item.app in ("", question.app)]
    return ProcessReport(
        node=node,
        findings=merged([findings]),
        apps=_apps(evidence, now, question.app),
        missed=_missed(evidence, now, question),
        channel=channel,
    )


def near_miss_findings(evidence: Evidence, now: float) -> list[Finding]:
    """Return the findings about events that nobody received, as far as they were looked up."""
    rows = (
        near_misses.near_miss(row, row.near, now)
        for row in evidence.undelivered.values()
        if row.near and not row.subscribers
    )
    return [item for item in rows if item is not None]


def _missed(evidence: Evidence, now: float, question: Question) -> list[MissedRow]:
    rows = [
        row
        for row in reversed(evidence.undelivered.values())
        if question.app in ("", row.app) and question.channel in ("", row.channel)
    ]
    return [
        MissedRow(
            app=row.app,
            channel=row.channel,
            event=row.event,
            count=row.count,
            first=now - row.first,
            last=now - row.last,
            subscribers=row.subscribers,
        )
        for row in rows[:ROWS]
    ]


def _apps(evidence: Evidence, now: float, only: str) -> dict[str, AppReport]:
    def ago(time: float | None) -> float | None:
        return None if time is None else now - time

    reports = {
        app: AppReport(
            connections=numbers.connections,
            clients_since=ago(numbers.clients_since),
            ever_connected=numbers.ever_connected,
            ever_subscribed=numbers.ever_subscribed,
            published=numbers.published,
            published_at=ago(numbers.published_at),
            client_events=numbers.client_events,
            up=now - evidence.started,
        )
        for app, numbers in evidence.apps.items()
        if only in ("", app)
    }
    largest = sorted(reports.items(), key=lambda row: (-row[1].connections, -row[1].published))
    return dict(largest[:APPS])


def app_reports(reports: Sequence[ProcessReport]) -> dict[str, AppReport]:
    """Return the numbers of each app in the cluster. A process without an app counts for how long it is up."""
    names = dict.fromkeys(app for report in reports for app in report.apps)
    return {
        app: silence.summed(report.apps[app] for report in reports if app in report.apps)
        for app in names
    }


def silences(
    apps: Mapping[str, AppReport], reports: Sequence[ProcessReport], url: str
) -> list[Finding]:
    """Return what follows from the numbers of the whole cluster; all of its nodes have reported."""
    findings: list[Finding | None] = []
    for app, numbers in apps.items():
        findings.append(silence.silent(app, numbers, url))
        missed = next(
            (
                (row.channel, row.event)
                for report in reports
                for row in report.missed
                if row.app == app and parts_of(row.channel).prefix not in ("", "cache-")
            ),
            None,
        )
        findings.append(silence.unsubscribed(app, numbers, missed))
    return [item for item in findings if item is not None]
