"""One connection's messages, when answers come in any order.

Invariant: messages of one channel run one after the other in the order of arrival; nothing that follows a
sign-in begins before it has ended; nothing else waits; an unsubscribe drops exactly what has not begun of
its channel; in the end everything else has run once.
"""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pusher_server.clients.mailbox import BARRIER
from tests.unit.clients.test_mailbox import Desk

keys = st.sampled_from(["a", "b", BARRIER])
actions = st.one_of(
    st.tuples(st.just("submit"), keys, st.booleans()),
    st.tuples(st.just("submit"), keys, st.just(True)),
    st.tuples(st.just("finish"), st.integers(0, 20), st.booleans()),
    st.tuples(st.just("drop"), st.sampled_from(["a", "b"]), st.none()),
)


class Model:
    """Which messages have arrived, begun and ended, told from the desk's log."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.keys: list[str | None] = []
        self.dropped: set[int] = set()

    def begun(self, i: int) -> bool:
        return f"+{i}" in self.desk.log

    def ended(self, i: int) -> bool:
        return f"-{i}" in self.desk.log

    def must_wait(self, key: str | None) -> bool:
        """Whether a message that arrives now finds one that it has to wait for."""
        return any(
            before in (key, BARRIER) and not self.ended(i) and i not in self.dropped
            for i, before in enumerate(self.keys)
        )

    def submit(self, key: str | None, waits: bool) -> None:
        i, must_wait = len(self.keys), self.must_wait(key)
        self.desk.submit(key, str(i), waits=waits)
        self.keys.append(key)
        assert self.begun(i) is not must_wait

    def drop(self, key: str) -> None:
        self.dropped |= {i for i, k in enumerate(self.keys) if k == key and not self.begun(i)}
        self.desk.box.drop(key)

    async def finish(self, which: int, patient: bool) -> None:
        """Let one that waits go on, at once or together with the next one."""
        waiting = [name for name, gate in self.desk.gates.items() if not gate.is_set()]
        if waiting:
            name = waiting[which % len(waiting)]
            if patient:
                await self.desk.finish(name)
            else:
                self.desk.gates[name].set()

    async def come_to_rest(self) -> None:
        for _ in self.keys:  # each may begin only when the one before it has ended
            for _ in range(4):
                await asyncio.sleep(0)
            await self.finish(0, True)

    def check(self) -> None:
        log = self.desk.log
        assert len(set(log)) == len(log), "something ran twice"
        for i, key in enumerate(self.keys):
            assert self.begun(i) is self.ended(i) is (i not in self.dropped)
            for j in range(i + 1, len(self.keys)):
                ordered = key is BARRIER or key == self.keys[j]
                if ordered and self.begun(i) and self.begun(j):
                    assert log.index(f"-{i}") < log.index(f"+{j}")
        assert len(self.desk.box) == 0
        if self.desk.relieved:
            assert self.desk.relieved[-1] is True


@given(st.lists(actions, max_size=25))
def test_order_holds_whatever_finishes_when(
    script: list[tuple[str, str | int | None, bool | None]],
) -> None:
    async def play() -> None:
        model = Model()
        for action, what, how in script:
            if action == "submit":
                assert not isinstance(what, int)
                model.submit(what, bool(how))
            elif action == "drop":
                model.drop(str(what))
            else:
                assert isinstance(what, int)
                await model.finish(what, bool(how))
        await model.come_to_rest()
        try:
            model.check()
        finally:
            model.desk.box.clear()

    asyncio.run(play())
