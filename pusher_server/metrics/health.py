"""Judges the health of one machine's processes: may clients be sent here (docs/protocol/http-api.md#health)?"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from pusher_server.metrics.process_stats import files_for_clients
from pusher_server.metrics.reading import State

#: A loop that was this late lately serves no client well. Below it, clients elsewhere would only move the load.
LAG_LIMIT = 1.0
#: Share of the memory above which no further client is accepted, as soketi's `memoryThreshold`.
MEMORY_LIMIT = 0.85


#: Name of a process -> its state, or a text such as "starting" if it has given none.
States = Mapping[str, State | str]
_Judge = Callable[[State], str | None]


class Verdict(Struct, frozen=True):
    """`text` is for people: one line per process if there are several."""

    good: bool
    text: str


def ready(states: States) -> Verdict:
    """Whether any process takes clients."""
    return _any(states, _not_ready)


def accepts_traffic(states: States, memory_limit: int) -> Verdict:
    """Whether any process takes clients and has room for more. `memory_limit` in bytes, 0 = unknown."""
    used = sum(state.memory for state in states.values() if isinstance(state, State))
    if memory_limit and used > MEMORY_LIMIT * memory_limit:
        return Verdict(False, f"{used >> 20} MiB of {memory_limit >> 20} MiB memory in use\n")
    return _any(states, lambda state: _not_ready(state) or _full(state))


def _any(states: States, judge: _Judge) -> Verdict:
    troubles = {
        name: state if isinstance(state, str) else judge(state) for name, state in states.items()
    }
    good = None in troubles.values()
    lines = {name: trouble or _condition(states[name]) for name, trouble in troubles.items()}
    if set(lines.values()) == {"OK"}:
        return Verdict(good, "OK")
    if len(lines) == 1:
        (line,) = lines.values()
        return Verdict(good, f"{line}\n")
    return Verdict(good, "".join(f"{name}: {line}\n" for name, line in lines.items()))


def _condition(state: State | str) -> str:
    """The line of a process that takes clients. With others out of reach, it still serves better than none."""
    if isinstance(state, State) and state.problem is not None:
        return f"degraded: {state.problem}"
    return "OK"


def _not_ready(state: State) -> str | None:
    if state.draining:
        return "draining"
    if state.starting:
        return "starting" if state.problem is None else f"starting: {state.problem}"
    if state.lag >= LAG_LIMIT:
        return f"overloaded: the event loop was {state.lag:.1f} s late"
    return state.not_ready


def _full(state: State) -> str | None:
    if 0 < state.max_connections <= state.connections:
        return f"full: {state.connections} connections"
    if state.max_files and files_for_clients(state.max_files) <= state.open_files:
        return f"full: {state.open_files} of {state.max_files} files are open"
    return None
