"""Why nothing arrives, in a cluster of three nodes on simulated links: one node says it for all."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from itertools import count
from random import Random

from pusher_server.app import App, AppKey
from pusher_server.diagnosis.explanation import Explanation, WhyQuestion
from pusher_server.node.explaining import Explaining
from pusher_server.node.publishing import ApiEvent
from pusher_server.protocol.channel_name import parse_channel_name
from pusher_server.protocol.errors import SubscriptionRefused
from pusher_server.protocol.messages import Subscribe
from tests.cluster.simulated_store import SimulatedStore
from tests.cluster.simulation import LEASE, UNDO, SimulatedNode
from tests.cluster.virtual_loop import VirtualLoop
from tests.support.fakes import FakeConnection
from tests.support.node import KEY, SECRET, sign

APP = App(id="1", keys=(AppKey(key=KEY, secret=SECRET),))
_SOCKETS = count(1)


class Team:
    """Three nodes on one store."""

    def __init__(self) -> None:
        self.store = SimulatedStore(Random(7), lease=LEASE, undo_window=UNDO)
        self.nodes = [
            SimulatedNode(name, self.store, APP, lambda signal: None) for name in ("a", "b", "c")
        ]

    async def subscribe(self, at: int, channel: str, auth: str | None = None) -> FakeConnection:
        """A client of this node, let in or refused."""
        node = self.nodes[at].node
        client = FakeConnection(node.hub.app_state(APP), f"1.{next(_SOCKETS)}", KEY)
        node.open(client)
        data = json.dumps({"user_id": "7"}) if channel.startswith("presence-") else None
        auth = sign(client, channel, data) if auth is None else auth
        try:
            await node.subscriptions.subscribe(client, Subscribe(channel, auth, data))
        except SubscriptionRefused as refusal:
            node.rejected(client, refusal)
        return client

    async def publish(self, at: int, channel: str) -> None:
        """A publication by this node; then everything settles."""
        event = ApiEvent(name="e", channels=(parse_channel_name(channel),), data=b'"x"')
        await asyncio.sleep(1.0)
        self.nodes[at].node.publishing.publish(APP, event)
        await asyncio.sleep(1.0)

    async def explain(self, at: int, others: int = 2, **question: str) -> Explanation:
        """The answer of the cluster, by this node."""
        node = self.nodes[at].node
        explaining = Explaining(node.diagnosing, node.operator.cluster, lambda: others)
        return await explaining.explain(WhyQuestion(**question))

    async def stop(self) -> None:
        for node in self.nodes:
            if node.is_alive:
                await node.stop()


def run(scenario: Callable[[Team], Awaitable[None]]) -> None:
    """Run it in virtual time, once all nodes are attached."""

    async def scene() -> None:
        team = Team()
        for node in team.nodes:
            await node.stores.attached()
        await scenario(team)
        await team.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(scene())


def test_a_subscriber_on_another_node_is_no_near_miss() -> None:
    async def scenario(team: Team) -> None:
        await team.subscribe(0, "session.42")
        await team.subscribe(1, "private-session.42")
        await team.publish(2, "session.42")
        assert (await team.explain(1)).findings == []

    run(scenario)


def test_a_near_name_on_another_node_is_found_and_counted_over_all() -> None:
    async def scenario(team: Team) -> None:
        for at in (0, 1, 1):
            await team.subscribe(at, "private-session.42")
        await team.publish(2, "session.42")
        for at in range(3):
            (found,) = (await team.explain(at)).findings
            assert found.sentence == (
                "`e` went to `session.42`; 3 connections wait on `private-session.42`: the event uses Channel"
                " where PrivateChannel is meant."
            )

    run(scenario)


def test_capitals_are_searched_on_all_nodes() -> None:
    async def scenario(team: Team) -> None:
        await team.subscribe(0, "Session.42")
        await team.publish(2, "session.42")
        (found,) = (await team.explain(1)).findings
        assert found.cause == "capitals"

    run(scenario)


def test_refusals_of_all_nodes_are_one_finding() -> None:
    async def scenario(team: Team) -> None:
        for at in (0, 0, 1, 2):
            await team.subscribe(at, "private-a", auth="other:00")
        answer = await team.explain(0)
        (found,) = answer.findings
        assert found.count == 4
        assert (answer.answered, answer.nodes) == (3, 3)

    run(scenario)


def test_a_publication_by_another_node_ends_the_silence() -> None:
    async def scenario(team: Team) -> None:
        await team.subscribe(0, "a")
        await asyncio.sleep(1.0)
        await team.nodes[0].node.diagnosing.step()
        await asyncio.sleep(600.0)
        causes = [finding.cause for finding in (await team.explain(1)).findings]
        assert causes == ["nothing_published"]
        await team.publish(2, "a")
        assert (await team.explain(1)).findings == []

    run(scenario)


def test_a_node_that_does_not_answer_is_counted_and_waited_for_briefly() -> None:
    async def scenario(team: Team) -> None:
        await team.subscribe(0, "private-a")
        await team.publish(0, "a")
        team.nodes[2].kill()
        began = asyncio.get_running_loop().time()
        answer = await team.explain(1)
        assert asyncio.get_running_loop().time() - began < 4.0
        assert (answer.answered, answer.nodes) == (2, 3)
        assert [finding.cause for finding in answer.findings] == ["event_prefix"]

    run(scenario)


def test_the_steps_see_the_subscribers_and_the_event_of_other_nodes() -> None:
    async def scenario(team: Team) -> None:
        await team.subscribe(0, "private-a")
        await team.publish(1, "private-a")
        answer = await team.explain(2, app="1", channel="private-a", event="e")
        states = {step.name: step.state for step in answer.steps}
        assert states["subscribed"] == "yes"
        assert states["published"] == "yes"

    run(scenario)
