"""Passes signals of this node to their observers (docs/decisions.md#observers-of-signals)."""

import logging

from pusher_server.signals import Observer, Signal

logger = logging.getLogger("pusher_server.node")


class Observers:
    """One node's observers, by the kinds of signals that they observe."""

    def __init__(self) -> None:
        self._of_everything: list[Observer] = []
        #: For each kind with observers of its own: these, and the observers of everything.
        self._of_kind: dict[type[Signal], list[Observer]] = {}

    def observe(self, observer: Observer, *kinds: type[Signal]) -> None:
        """Call `observer` with every signal from now on, or with these kinds: others then cost nothing."""
        for kind in kinds:
            self._of_kind.setdefault(kind, [*self._of_everything]).append(observer)
        if not kinds:
            for observers in (self._of_everything, *self._of_kind.values()):
                observers.append(observer)

    def ignore(self, observer: Observer, *kinds: type[Signal]) -> None:
        """Call `observer` no more with these kinds, which it observes."""
        for kind in kinds:
            # Another list, because this one may be iterated over now.
            rest = [other for other in self._of_kind[kind] if other != observer]
            if len(rest) == len(self._of_everything):
                del self._of_kind[kind]
            else:
                self._of_kind[kind] = rest

    def is_observed(self, kind: type[Signal]) -> bool:
        """Return whether signals of this kind are observed: else none needs to be made."""
        return bool(self._of_kind.get(kind, self._of_everything))

    def emit(self, signal: Signal) -> None:
        """Call the observers. One that fails hurts no other one."""
        for observer in self._of_kind.get(type(signal), self._of_everything):
            try:
                observer(signal)
            except Exception:
                logger.exception("an observer failed", extra={"signal": type(signal).__name__})
