"""An event loop whose time passes only when nothing else is left to do: simulations without waiting."""

import asyncio
import selectors
from typing import Any


class _NoSockets(selectors.BaseSelector):
    """Time instead of input: a wait for a second makes it a second later."""

    def __init__(self) -> None:
        self.now = 0.0
        self._real = selectors.DefaultSelector()  # the loop registers its self-pipe

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen")
        self.now += max(timeout, 0.0)
        return []

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Any:
        return self._real.get_map()


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs timers in their order, at once."""

    def __init__(self) -> None:
        self._time = _NoSockets()
        super().__init__(self._time)

    def time(self) -> float:
        return self._time.now
