"""The rules about clients that are refused, cut, or come again and again."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from msgspec import structs

from pusher_server.diagnosis.causes import CAUSES
from pusher_server.diagnosis.evidence import Ended, Evidence, Example, Guess, Kind, Refusal
from pusher_server.diagnosis.findings import Finding, finding
from pusher_server.diagnosis.printable import counted, printable, quoted

_CAUSES: dict[Kind, str] = {
    "connection": "connection_refused",
    "sign_in": "sign_in_refused",
    "subscription": "subscription_refused",
    "message": "message_refused",
    "request": "request_refused",
    "protocol": "wrong_protocol",
}
_NOUNS: dict[Kind, str] = {
    "connection": "connection",
    "sign_in": "sign-in",
    "subscription": "subscription",
    "message": "message",
    "request": "request",
    "protocol": "request",
}
#: The begin of each line about a signature.
_MISMATCH = "the signature does not match"
#: Connections of one address that make a loop: so many in so many seconds, each about as long as the others.
LOOP = 6
LOOP_SECONDS = 180.0
LOOP_LIVED = 30.0
_ALIKE = 2.0
#: Cut connections that show a limit: so many, this part of all that were cut, within so many seconds.
CUTS = 5
_PART = 0.6
_WIDTH = 1.5
#: Connections that were idle for less were not cut for that.
_IDLE = 8.0
#: How the close code of a client that just dropped is called (RFC 6455 §7.4.1).
_DROPPED = 1006


def with_guess(cause: str, guess: Guess | None) -> str:
    """Return the cause of a refusal for a line in the log; a guess takes the place of general advice."""
    if guess is None or guess.cause == "signed_otherwise":
        return cause
    before, _, _ = cause.partition(_MISMATCH)
    known = CAUSES[guess.cause]
    sentence = known.sentence.format(refused="", key=guess.key, other=guess.other)
    return f"{before}{_MISMATCH}{sentence.rstrip('.')}; {known.fix.rstrip('.')}"


def page_of(kind: Kind) -> str:
    """Return the page that has more about refusals of this kind."""
    return CAUSES[_CAUSES[kind]].link


def refusals(evidence: Evidence) -> Iterator[Finding]:
    """Yield a finding for each kind of refusal."""
    now = evidence.clock()
    for refusal in evidence.refusals.values():
        yield _refused(refusal, now)


def _refused(refusal: Refusal, now: float) -> Finding:
    address, example = next(reversed(refusal.examples.items()))
    texts: dict[str, str] = {"refused": _what(refusal, address, example)}
    if refusal.guess is None:
        cause = _CAUSES[refusal.kind]
        texts["reason"] = printable(example.cause, 500).rstrip(".")
    else:
        cause, guess = refusal.guess.cause, refusal.guess
        texts |= {"key": guess.key, "other": guess.other}
    made = finding(
        cause,
        refusal.app,
        f"{refusal.kind} {refusal.reason} {texts.get('other', '')}".rstrip(),
        count=refusal.count,
        first=now - refusal.first,
        last=now - refusal.last,
        **texts,
    )
    # A guess about a secret may be one of a request to the API, too.
    return structs.replace(made, link=page_of(refusal.kind))


def _what(refusal: Refusal, address: str, example: Example) -> str:
    """Return the subject of the sentence: how many were refused, of which name, and from where."""
    times = counted(refusal.count, _NOUNS[refusal.kind])
    verb = "was" if refusal.count == 1 else "were"
    name = ""
    if example.subject:
        word = {"subscription": " to", "message": " on", "connection": " at"}.get(refusal.kind, "")
        name = f"{word} {quoted(example.subject)}"
    source = f" from {printable(address)}" if address else ""
    return f"{times}{name}{source} {verb} refused"


def loops(evidence: Evidence, now: float) -> Iterator[Finding]:
    """Yield a finding for each address whose connections follow each other and all end alike.

    A visitor who goes from page to page ends its connections itself, with 1001 or without a code. A loop ends
    by the network or by an error, always after the same time.
    """
    by_address: dict[tuple[str, str, int], list[Ended]] = {}
    for ended in evidence.ended:
        is_recent = now - ended.ended <= LOOP_SECONDS
        if is_recent and (ended.code == _DROPPED or ended.code >= 4_000):
            by_address.setdefault((ended.app, ended.address, ended.code), []).append(ended)
    for (app, address, code), row in by_address.items():
        row.sort(key=lambda ended: ended.opened)
        if len(row) < LOOP or not _follow(row):
            continue
        lived = [ended.ended - ended.opened for ended in row]
        if max(lived) > LOOP_LIVED or max(lived) - min(lived) > _ALIKE:
            continue
        yield finding(
            "reconnect_loop",
            app,
            f"{address} {code}",
            address=printable(address),
            times=counted(len(row), "time"),
            minutes=_span(now - row[0].opened),
            lived=_span(max(lived)),
            ended=f", and ended with {code}" if code != _DROPPED else ", and just dropped",
            count=len(row),
            first=now - row[0].opened,
            last=now - row[-1].ended,
        )


def _follow(row: Sequence[Ended]) -> bool:
    """Return whether none begins before the one before it has ended: else they are several clients."""
    return all(before.ended <= after.opened + 0.05 for before, after in pairwise(row))


def idle_cuts(evidence: Evidence, now: float) -> Iterator[Finding]:
    """Yield the idle time after which connections are cut, if there is one that most of them share."""
    cuts = [
        ended
        for ended in evidence.ended
        if ended.code == _DROPPED and ended.idle is not None and ended.idle >= _IDLE
    ]
    limit, shared = _shared(cuts)
    if len(shared) < CUTS or len(shared) < _PART * len(cuts):
        return
    yield finding(
        "idle_cut",
        "",
        f"{limit:.0f}",
        cut=counted(len(shared), "connection"),
        idle=f"{limit:.0f} s",
        count=len(shared),
        first=now - min(ended.ended for ended in shared),
        last=now - max(ended.ended for ended in shared),
    )


def _shared(cuts: Iterable[Ended]) -> tuple[float, list[Ended]]:
    """Return the idle time that most cuts have within `_WIDTH`, and these cuts."""
    times = sorted(cuts, key=lambda ended: ended.idle or 0.0)
    best: list[Ended] = []
    first = 0
    for last, ended in enumerate(times):
        while (ended.idle or 0.0) - (times[first].idle or 0.0) > _WIDTH:
            first += 1
        if last - first + 1 > len(best):
            best = times[first : last + 1]
    seconds = Counter(round(ended.idle or 0.0) for ended in best)
    return (float(seconds.most_common(1)[0][0]) if seconds else 0.0), best


def _span(seconds: float) -> str:
    """Return a time in words: `12 s`, `3 min`."""
    return f"{max(1.0, seconds):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
