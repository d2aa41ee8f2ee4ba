"""Limits how often a line about one subject is logged: a trouble of many clients makes one line a minute.

`LogRateLimit` is for troubles of the server. `SourceRateLimit` is for refusals: one line for each client
that is refused, up to a few. So one that tries without end does not hide the others, and many clients do not
fill the log.
"""

from collections.abc import Hashable

#: Seconds between two lines about the same subject.
INTERVAL = 60.0
#: Sources that have lines of their own about one subject within the interval, and lines of one source. A
#: source that varies what it sends takes no other one's line.
SOURCES = 5
LINES = 2
#: Subjects that are remembered. When there are more, all are forgotten, at the price of a line too many.
KEPT = 10_000


def repeated(events: int) -> dict[str, object]:
    """Return the field of a line that stands for so many events, which counts those without a line."""
    return {"as_before": events - 1} if events > 1 else {}


class LogRateLimit:
    """Decides for each subject whether its line is due. Pure: the caller has the clock, and writes the line."""

    def __init__(self, interval: float = INTERVAL, kept: int = KEPT) -> None:
        self._interval = interval
        self._kept = kept
        #: Subject -> when its last line was written, and the events since then.
        self._written: dict[Hashable, tuple[float, int]] = {}

    def due(self, subject: Hashable, now: float, events: int = 1) -> int:
        """Return how many events the line stands for, or 0 when no line is to be written now.

        `events` are added to those since the subject's last line; 0 only checks if some are left to report.
        `now` is in seconds of any one clock; one that is set back silences nothing.
        """
        written = self._written.get(subject)
        count = events if written is None else written[1] + events
        if not count:
            return 0
        if written is not None and 0 <= now - written[0] < self._interval:
            self._written[subject] = (written[0], count)
            return 0
        if len(self._written) >= self._kept:
            self._written.clear()
        self._written[subject] = (now, 0)
        return count


class SourceRateLimit:
    """Decides for each subject and source whether a line is due. Pure: the caller has the clock."""

    def __init__(
        self, interval: float = INTERVAL, sources: int = SOURCES, kept: int = KEPT
    ) -> None:
        self._interval = interval
        self._sources = sources
        self._kept = kept
        #: Subject -> when its interval began, the lines of each source since then, the events without one.
        self._begun: dict[Hashable, tuple[float, dict[Hashable, set[Hashable]], int]] = {}

    def due(self, subject: Hashable, source: Hashable, now: float, line: Hashable = "") -> int:
        """Return how many events of the subject the line stands for, or 0 when no line is to be written now.

        `line` is different where two lines of one source differ; its hash is kept. `now` is in seconds of any
        one clock. The caller bounds the size of the subject and of the source.
        """
        line = hash(line)
        begun, written, count = self._begun.get(subject, (now, {}, 0))
        if not 0 <= now - begun < self._interval:
            begun, written = now, {}
        lines = written.get(source)
        if len(written) >= self._sources if lines is None else line in lines or len(lines) >= LINES:
            self._begun[subject] = (begun, written, count + 1)
            return 0
        if subject not in self._begun and len(self._begun) >= self._kept:
            self._begun.clear()
        written.setdefault(source, set()).add(line)
        self._begun[subject] = (begun, written, 0)
        return count + 1
