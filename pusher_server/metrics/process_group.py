"""Aggregates metrics of all local processes; counters stay monotonic across restarts of workers.

A worker that is replaced begins at zero. The last totals of its predecessor are added from then on, so that
sums go on rising. A counter that falls reads as a restart of everything. A sum that leaves out a worker for a
while would fall, too. Hence a worker that does not answer keeps its totals and loses its gauges.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec import Struct

from pusher_server.metrics import catalogue
from pusher_server.metrics.collector import Collecting
from pusher_server.metrics.health import ready
from pusher_server.metrics.reading import Reading, State, Sums

#: Seconds that a process has to answer; Prometheus itself waits 10.
PATIENCE = 1.0


class Probe(Struct, frozen=True):
    """A process. `phase` is shown while it does not answer; `read` is None while it cannot answer."""

    name: str
    phase: str
    starts: int
    read: Callable[[], Awaitable[Reading]] | None


class ProcessSums(Struct, frozen=True):
    """All processes at one moment: their sums, and the state of each (text: it gave none)."""

    sums: Sums
    states: dict[str, State | str]


class ProcessGroup:
    """The processes of this machine. `processes` lists the current ones; a replacement has the same name."""

    def __init__(self, processes: Callable[[], Sequence[Probe]]) -> None:
        self._processes = processes
        #: By name, the last reading; and the totals of all predecessors.
        self._last: dict[str, Reading] = {}
        self._past = Sums()

    async def snapshot(self) -> ProcessSums:
        """Read all processes. Waits `PATIENCE` at most."""
        processes = self._processes()
        readings = await asyncio.gather(*(_reading(process) for process in processes))
        sums, states = Sums(), dict[str, State | str]()
        silent = 0
        for process, reading in zip(processes, readings, strict=True):
            if reading is None:
                silent += 1
                states[process.name] = process.phase if process.read is None else "does not answer"
                continue
            states[process.name] = reading.state
            self._note(process.name, reading)
            _add(sums, reading, gauges=True)
        for name, last in self._last.items():
            if isinstance(states.get(name), str):
                _add(sums, last, gauges=False)
        _add_sums(sums, self._past)
        _add_process_counts(sums, processes, states, silent)
        return ProcessSums(sums, states)

    def _note(self, name: str, reading: Reading) -> None:
        before = self._last.get(name)
        if before is not None and before.node != reading.node:
            _add(self._past, before, gauges=False)
        self._last[name] = reading


def single(collector: Collecting, name: str = "1") -> ProcessGroup:
    """The group of one process, which is this one."""

    async def read() -> Reading:
        return collector.read()

    return ProcessGroup(lambda: (Probe(name, "ready", 1, read),))


async def _reading(process: Probe) -> Reading | None:
    if process.read is None:
        return None
    try:
        return await asyncio.wait_for(process.read(), PATIENCE)
    except (TimeoutError, ValueError):  # silent, or of another release: the package was replaced
        return None


def _add(sums: Sums, reading: Reading, *, gauges: bool) -> None:
    for name, samples in reading.numbers.items():
        metric = catalogue.BY_NAME.get(name)
        if metric is None:  # a worker of another release has it
            continue
        if gauges and metric.largest:
            sums.add_largest(name, samples)
        elif gauges or metric.kind == "counter":
            sums.add(name, samples)
    for name, distribution in reading.histograms.items():
        sums.add_histogram(name, distribution)


def _add_sums(sums: Sums, past: Sums) -> None:
    for name, samples in past.numbers.items():
        sums.add(name, samples.items())
    for name, distribution in past.histograms.items():
        sums.add_histogram(name, distribution)


def _add_process_counts(
    sums: Sums, processes: Iterable[Probe], states: dict[str, State | str], silent: int
) -> None:
    able = sum(ready({name: state}).good for name, state in states.items())
    sums.add(catalogue.WORKERS.name, [((), len(states))])
    sums.add(catalogue.WORKERS_READY.name, [((), able)])
    sums.add(catalogue.WORKERS_UNANSWERED.name, [((), silent)])
    starts = [((process.name,), float(process.starts)) for process in processes]
    sums.add(catalogue.WORKER_STARTS.name, starts)
