"""A cause with its evidence, as one sentence; the findings of several processes as one list."""

from collections.abc import Iterable

from msgspec import Struct, structs

from pusher_server.diagnosis.causes import CAUSES

#: Findings in one list, the newest ones.
KEPT = 64


class Finding(Struct, frozen=True, kw_only=True):
    """A cause that holds. `subject` says what it is about: two findings of one cause and subject are one.

    `app` is empty when no app is concerned. `count` is how often it was seen, `first` and `last` how many
    seconds ago. All texts are fit for a terminal.
    """

    cause: str
    app: str
    subject: str
    sentence: str
    fix: str
    link: str
    is_fault: bool
    count: int = 1
    first: float = 0.0
    last: float = 0.0


def finding(
    cause: str,
    app: str,
    subject: str,
    /,
    *,
    count: int = 1,
    first: float = 0.0,
    last: float = 0.0,
    **fields: object,
) -> Finding:
    """Return the finding of this cause, with `fields` in its templates."""
    known = CAUSES[cause]
    return Finding(
        cause=cause,
        app=app,
        subject=subject,
        sentence=known.sentence.format(app=app, **fields),
        fix=known.fix.format(app=app, **fields),
        link=known.link,
        is_fault=known.is_fault,
        count=count,
        first=max(0.0, first),
        last=max(0.0, last),
    )


def merged(lists: Iterable[Iterable[Finding]], kept: int = KEPT) -> list[Finding]:
    """Return the findings of all lists, the newest first. Those of one cause and subject are added up."""
    by_subject: dict[tuple[str, str, str], Finding] = {}
    for findings in lists:
        for item in findings:
            key = (item.cause, item.app, item.subject)
            other = by_subject.get(key)
            if other is not None:
                newer = item if item.last <= other.last else other
                item = structs.replace(
                    newer,
                    count=item.count + other.count,
                    first=max(item.first, other.first),
                )
            by_subject[key] = item
    return sorted(by_subject.values(), key=lambda item: item.last)[:kept]
