"""One run: the clients of a plan against a set-up, round by round, each ending in a comparison at rest."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from tests.chaos import plan as planned
from tests.chaos.backend import Backend
from tests.chaos.client import Client, Surroundings
from tests.chaos.findings import Findings
from tests.chaos.inspection import differences_answered, differences_cached
from tests.chaos.ledger import DELIVERY, FaultWindow, Ledger
from tests.chaos.plan import Action, FaultPlan, Plan, Round
from tests.chaos.setups import Setup
from tests.chaos.signal_log import Kill, SignalLog
from tests.chaos.truth import Difference, Truth, differences_told
from tests.chaos.undone import BLUR, undone_leaves
from tests.chaos.world import BROAD, NARROW

#: Between two looks whether everything is at rest.
LOOK = 0.2
#: Clients do not all come in the same instant.
RAMP = 1.5


class Audit:
    """Holds everything of one run."""

    def __init__(self, plan: Plan, setup: Setup) -> None:
        self.findings = Findings(began=time.monotonic())
        self.rounds = 0
        self.fault_kinds: list[str] = []
        self._plan = plan
        self._setup = setup
        self._ledger = Ledger()
        self._signals = SignalLog(setup.signals)
        around = Surroundings(
            setup.addresses, self.findings, self._ledger, setup.timing, Random(plan.seed)
        )
        self._clients = [Client(each, around) for each in plan.clients]
        self._backend = Backend(setup.addresses, plan.sizes.publishers, self.findings, self._ledger)
        self._windows: list[FaultWindow] = []
        self._busy: set[asyncio.Task[Any]] = set()

    async def run(self, seconds: float) -> Findings:
        """Rounds until the time is over; a round that has begun is finished."""
        asyncio.get_running_loop().set_exception_handler(self._unexpected)
        living = []
        try:
            for client in self._clients:
                living.append(asyncio.create_task(client.run()))
                await asyncio.sleep(RAMP / len(self._clients))
            await self._come_to_rest(f"after {len(self._clients)} clients came")
            until = time.monotonic() + seconds
            while time.monotonic() < until and not self._hopeless:
                await self._round(self._plan.round(self.rounds))
                self.rounds += 1
        finally:
            for task in (*living, *self._busy):
                task.cancel()
            await asyncio.gather(*living, *self._busy, return_exceptions=True)
            self._backend.close()
        return self.findings

    @property
    def _hopeless(self) -> bool:
        """More rounds would only say the same again."""
        return sum(self.findings.counts.values()) > Findings.KEPT

    def _unexpected(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        text = f"the audit did not understand: {context['message']}: {error!r}"
        self.findings.report("disorder", time.monotonic(), text)

    # A round

    async def _round(self, round_: Round) -> None:
        began = time.monotonic()
        faults = [asyncio.create_task(self._fault(each, began)) for each in round_.faults]
        for action in round_.actions:
            await _until(began + action.at)
            self._do(action)
        await _until(began + round_.seconds)
        await asyncio.gather(*faults)
        await asyncio.gather(*self._busy)
        kinds = " + ".join(each.kind for each in round_.faults) or "no fault"
        before = sum(self.findings.counts.values())
        await self._come_to_rest(f"round {round_.index}, after {kinds}")
        found = sum(self.findings.counts.values()) - before
        print(
            f"  {began - self.findings.began:6.1f} s  round {round_.index}: {kinds}; at rest after "
            f"{self.findings.rests[-1]:.1f} s" + (f"; {found} FINDINGS" if found else ""),
            flush=True,
        )

    async def _fault(self, fault: FaultPlan, began: float) -> None:
        await _until(began + fault.at)
        self._windows.append(FaultWindow(fault.kind, time.monotonic()))
        self.fault_kinds.append(fault.kind)
        await self._setup.faults()[fault.kind](fault.target, fault.seconds)

    def _do(self, action: Action) -> None:
        match action:
            case planned.Toggle(client=client, channel=channel):
                self._clients[client].toggle(channel)
            case planned.Whisper(client=client, channel=channel):
                self._clients[client].whisper(channel)
            case planned.Reload(client=client, away=away):
                self._clients[client].reload(away)
            case planned.Cut(client=client):
                self._clients[client].cut()
            case planned.Turn(client=client):
                self._clients[client].turn()
            case planned.Stall(client=client, seconds=seconds):
                self._clients[client].stall(seconds)
            case planned.Terminate(node=node, user=user):
                self._start(self._backend.terminate(node, user))
            case planned.Publish(exclude=exclude):
                view = None if exclude is None else self._clients[exclude].view
                excluded = None if view is None else view.socket_id
                self._start(self._backend.publish(action, excluded))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    # Rest

    async def _come_to_rest(self, when: str) -> None:
        """Wait until everything agrees with the truth; what does not by the deadline is a finding."""
        began = time.monotonic()
        timing = self._setup.timing
        # By then, a signal that its process owed when it was killed would have come from another.
        patience = began + timing.lease + timing.undo + 1.0
        deadline = began + timing.rest
        while True:
            truth = Truth.of(self._clients)
            differences, lost = await self._differences(truth)
            now = time.monotonic()
            if now > deadline or (not differences and (not lost or now > patience)):
                break
            await asyncio.sleep(LOOK)
        self.findings.signals_lost += lost
        self._judge_undone(when)
        self._report(when, differences)
        self.findings.rests.append(time.monotonic() - began)
        for window in self._windows:
            window.rest = time.monotonic()
        if not differences:
            await self._probe(when)
        self._settle(when)
        self._signals.begin_round(truth)

    def _report(self, when: str, differences: Sequence[Difference]) -> None:
        for each in differences:
            text = f"{when}: {each.text}"
            self.findings.report(each.kind, time.monotonic(), text, each.context)

    def _judge_undone(self, when: str) -> None:
        """Who was back within the undo window caused no signal, as long as no fault was on."""
        calm = min((window.begin for window in self._windows), default=time.monotonic())
        for undone in undone_leaves(self._ledger, calm, self._setup.timing.undo):
            self.findings.seen["leaves undone"] += 1
            told = self._signals.during(undone.key, undone.left, undone.back + BLUR)
            if told:
                text = f"{'/'.join(undone.key)} was left for {undone.back - undone.left:.2f} s"
                self._report(when, [Difference("signals", f"{text}, and this was told: {told}")])

    async def _probe(self, when: str) -> None:
        """At rest an event reaches everybody, through whichever node it is published."""
        setup = self._setup
        last = None
        for address in setup.addresses * setup.repeat:
            last = await self._backend.probe(address, (*BROAD, *NARROW))
            if last is None:
                self._report(when, [Difference("missing", "a node does not take an event")])
                return
            # One after the other: an answer does not wait for the cluster, so that two nodes may be
            # out of step about which was the last.
            await self._delivered(last)
        if last is not None:
            cached = differences_cached(setup.addresses, last, setup.repeat)
            self._report(when, [each async for each in cached])

    async def _delivered(self, name: str) -> None:
        """Wait until everybody has it, or too long; `settle` says who has not."""
        until = time.monotonic() + DELIVERY
        while self._ledger.undelivered(name):
            if time.monotonic() > until:
                return
            await asyncio.sleep(LOOK / 10)

    async def _differences(self, truth: Truth) -> tuple[list[Difference], int]:
        """What is wrong, and how many signals a killed process took with it.

        The cheap questions first; the next are asked only when these agree.
        """
        told = list(differences_told(self._clients, truth))
        if told:
            return told, 0
        addresses = self._setup.addresses
        answered = [
            each async for each in differences_answered(addresses, truth, self._setup.repeat)
        ]
        if answered:
            return answered, 0
        self._signals.read()
        signals = list(self._signals.differences(truth))
        if self._memory_losses() > 1:
            return [], len(signals)  # nobody promises anything then (docs/clustering.md)
        kills = self._kills_of_round()
        wrong = [d for key, d in signals if not self._signals.excused(key, self._ledger, kills)]
        return wrong, len(signals) - len(wrong)

    def _memory_losses(self) -> int:
        return sum(self._setup.forgets(window.kind) for window in self._windows)

    def _kills_of_round(self) -> Sequence[Kill]:
        kinds = self._setup.kinds
        alone = any(kinds[window.kind].isolates for window in self._windows)
        killed = [replace(kill, alone=kill.alone or alone) for kill in self._setup.kills]
        if not self._memory_losses():
            return killed
        return [*killed, *(Kill(process, alone=True) for process in self._setup.absent)]

    def _settle(self, when: str) -> None:
        """What was lost in the round, told apart by the faults that were on."""
        self._signals.read()
        settled = self._ledger.settle(
            time.monotonic(),
            self._windows,
            self._signals.process_of_socket,
            self._signals.process_of_event,
        )
        for faults, expected in settled.expected.items():
            self.findings.sent_in[" + ".join(faults) or "no fault"] += expected
        for loss in settled.losses:
            publication = loss.publication
            self.findings.lost_in[" + ".join(loss.faults) or "no fault"] += 1
            if loss.faults and not loss.same_process:
                continue
            where = "its own node" if loss.same_process else "another node, while no fault was on"
            stay = loss.stay
            text = (
                f"{publication.name} to {publication.channel} never came to {stay.socket}, which asked"
                f" {publication.sent - stay.asked:.3f} s before it was sent"
                + (
                    ""
                    if stay.granted is None
                    else f", granted {publication.sent - stay.granted:.3f} s"
                )
                + f" before, answered {(publication.answered or 0) - publication.sent:.3f} s later"
                + (
                    ""
                    if stay.ended is None
                    else f", ended {stay.ended - publication.sent:.3f} s later"
                )
            )
            views = (each.view for each in self._clients if each.view is not None)
            view = next((each for each in views if each.socket_id == stay.socket), None)
            frames = () if view is None else view.context()
            self.findings.report("lost", publication.sent, f"{when}: {text}, on {where}", frames)
        self._ledger.begin_round()
        self._windows.clear()
        self._setup.kills.clear()
        self._setup.absent.clear()


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
