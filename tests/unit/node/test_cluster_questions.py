"""A question to all other nodes: answers within a time, those that came late or too large left out."""

import asyncio

import pytest
from msgspec import structs

from pusher_server.diagnosis.explanation import WhyQuestion
from pusher_server.diagnosis.findings import Finding
from pusher_server.interfaces import CONTROL, AnswerMessage, QuestionMessage, Topic, answers_topic
from pusher_server.node import cluster_questions
from pusher_server.node.cluster_questions import ClusterQuestions
from pusher_server.node.explaining import Explaining
from tests.support.node import NodeFixture


class Bus:
    """Carries questions and answers between nodes at once; a node may be deaf."""

    def __init__(self) -> None:
        self.nodes: dict[str, ClusterQuestions] = {}
        self.subscribed: set[Topic] = set()
        self.deaf: set[str] = set()

    def node(self, name: str, answer: bytes) -> ClusterQuestions:
        fixture = NodeFixture()
        fixture.roster.alone = False

        async def made(question: bytes) -> bytes:
            return answer + question

        node = ClusterQuestions(structs.replace(fixture.parts, node_id=name), made)
        bus = self

        class Broker:
            async def subscribe(self, topic: Topic) -> None:
                bus.subscribed.add(topic)

            def publish(self, topic: Topic, message: object, **more: object) -> None:
                if topic == CONTROL and isinstance(message, QuestionMessage):
                    for other, receiver in bus.nodes.items():
                        if other != name and other not in bus.deaf:
                            receiver.came(message)
                elif isinstance(message, AnswerMessage) and topic in bus.subscribed:
                    bus.nodes[topic[2]].answered(message)

        node._broker = Broker()  # type: ignore[assignment]  # of two verbs
        self.nodes[name] = node
        return node


async def test_all_others_answer() -> None:
    bus = Bus()
    one = bus.node("one", b"1")
    bus.node("two", b"2")
    bus.node("three", b"3")
    assert sorted(await one.ask(b"?", 2, 5.0)) == [b"2?", b"3?"]
    assert bus.subscribed == {answers_topic("one")}


async def test_one_that_does_not_answer_is_waited_for_so_long() -> None:
    bus = Bus()
    one = bus.node("one", b"1")
    bus.node("two", b"2")
    bus.node("three", b"3")
    bus.deaf.add("three")
    assert await one.ask(b"?", 2, 0.01) == [b"2?"]
    one.answered(AnswerMessage(number=1, answer=b"late"))
    assert one._waiting == {}


async def test_before_the_number_of_nodes_is_known_some_may_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_questions, "_BRIEFLY", 0.01)
    bus = Bus()
    one = bus.node("one", b"1")
    bus.node("two", b"2")
    assert await one.ask(b"?", 0, 5.0) == [b"2?"]


async def test_what_is_too_large_is_dropped() -> None:
    bus = Bus()
    one = bus.node("one", b"1")
    bus.node("two", b"x" * cluster_questions.ANSWER_BYTES)
    assert await one.ask(b"?", 1, 0.01) == []
    assert await one.ask(b"?" * 5_000, 1, 5.0) == []


async def test_few_questions_are_answered_at_a_time() -> None:
    node = NodeFixture()
    answering = asyncio.Event()

    async def made(question: bytes) -> bytes:
        await answering.wait()
        return b"x"

    questions = ClusterQuestions(node.parts, made)
    for number in range(100):
        questions.came(QuestionMessage(asker="b", number=number, question=b"?"))
    answering.set()
    await asyncio.gather(*questions._answering)
    answered = [message for topic, message in node.broker.published if topic == answers_topic("b")]
    assert [message.number for message in answered] == [0, 1, 2, 3]


async def test_a_node_that_is_alone_asks_nobody() -> None:
    node = NodeFixture()
    assert await node.node.operator.cluster.ask(b"?", 3, 5.0) == []
    assert node.broker.published == []


async def test_with_a_node_missing_nothing_is_said_about_silence() -> None:
    """Its clients and publications are not known."""
    fixture = NodeFixture()
    await fixture.subscriber("a")
    await fixture.node.diagnosing.step()
    fixture.wait(600.0)
    node = fixture.node

    async def found(others: int) -> list[Finding]:
        explaining = Explaining(node.diagnosing, node.operator.cluster, lambda: others)
        answer = await explaining.explain(WhyQuestion())
        assert (answer.answered, answer.nodes) == (1, others + 1)
        return answer.findings

    assert [finding.cause for finding in await found(0)] == ["nothing_published"]
    assert await found(1) == []


def test_a_node_dispatches_questions_and_answers() -> None:
    fixture = NodeFixture()
    came: list[object] = []
    fixture.node.operator.cluster.came = came.append  # type: ignore[method-assign, assignment]
    fixture.node.operator.cluster.answered = came.append  # type: ignore[method-assign, assignment]
    question = QuestionMessage(asker="b", number=1, question=b"?")
    answer = AnswerMessage(number=1, answer=b"!")
    fixture.node.on_message(CONTROL, question)
    fixture.node.on_message(answers_topic("node"), answer)
    assert came == [question, answer]
