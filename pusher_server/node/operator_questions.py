"""Answers the questions of operators, for this node and, with the others' answers, for the whole cluster."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

import msgspec

from pusher_server.diagnosis.explanation import Explanation, WhyQuestion
from pusher_server.diagnosis.inventory import (
    ROWS,
    Answer,
    ChannelsQuestion,
    ConnectionsQuestion,
    KickOrder,
    PublishOrder,
)
from pusher_server.diagnosis.live import OBSERVED, Feeds, TailQuestion, TailReport
from pusher_server.diagnosis.report import Question
from pusher_server.errors import ClusterUnavailable
from pusher_server.node.cluster_questions import ClusterQuestions
from pusher_server.node.diagnosing import Diagnosing
from pusher_server.node.explaining import Explaining
from pusher_server.node.inventory import Inventory
from pusher_server.node.parts import NodeParts

T = TypeVar("T")

#: Seconds that other nodes have.
_PATIENCE = 1.0

OperatorQuestion = (
    WhyQuestion | TailQuestion | ChannelsQuestion | ConnectionsQuestion | PublishOrder | KickOrder
)
NodeQuestion = Question | TailQuestion | ConnectionsQuestion | KickOrder
_operator_question: msgspec.json.Decoder[OperatorQuestion] = msgspec.json.Decoder(OperatorQuestion)
_node_question: msgspec.json.Decoder[NodeQuestion] = msgspec.json.Decoder(NodeQuestion)
_tail_report = msgspec.json.Decoder(TailReport)
_answer = msgspec.json.Decoder(Answer)


class OperatorQuestions:
    """`others` gives the number of live nodes beside this one."""

    def __init__(
        self,
        parts: NodeParts,
        diagnosing: Diagnosing,
        inventory: Inventory,
        others: Callable[[], int],
    ) -> None:
        self._diagnosing = diagnosing
        self._inventory = inventory
        self._others = others
        self._observers = parts.observers
        self.feeds = Feeds(parts.clock, self._watch)
        #: Questions of other nodes, and the answers to ours.
        self.cluster = ClusterQuestions(parts, self._answer_node)
        self.explaining = Explaining(diagnosing, self.cluster, others)

    async def step(self) -> None:
        """Do the work of a second."""
        self.feeds.expire()
        await self._diagnosing.step()

    async def answer(self, question: bytes) -> bytes:
        """Return the cluster's answer as JSON, to a question as JSON; nothing for one of another release."""
        try:
            asked_for = _operator_question.decode(question)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return b""
        answer: Explanation | TailReport | Answer
        match asked_for:
            case WhyQuestion():
                answer = await self.explaining.explain(asked_for)
            case TailQuestion():
                answer = await self._tail(asked_for)
            case _:
                try:
                    answer = await self._of_inventory(asked_for)
                except ClusterUnavailable as error:
                    answer = Answer(problem=f"other nodes or the apps cannot be reached: {error}")
        return msgspec.json.encode(answer)

    async def _of_inventory(
        self, question: ChannelsQuestion | ConnectionsQuestion | PublishOrder | KickOrder
    ) -> Answer:
        match question:
            case ChannelsQuestion():
                return await self._inventory.channels(question)
            case PublishOrder():
                return await self._inventory.publish(question)
            case ConnectionsQuestion():
                return await self._merged(question, await self._inventory.connections(question))
            case KickOrder():
                return await self._merged(question, self._inventory.kick(question))

    async def _merged(self, question: ConnectionsQuestion | KickOrder, own: Answer) -> Answer:
        """Return the answer of this node with those of the others."""
        others = self._others()
        answers = await self.cluster.ask(msgspec.json.encode(question), others, _PATIENCE)
        reports = [own, *_decoded(_answer, answers)]
        rows = [row for report in reports for row in report.connections]
        return Answer(
            connections=rows[:ROWS],
            more=len(rows) > ROWS or any(report.more for report in reports),
            count=sum(report.count for report in reports),
            nodes=max(others + 1, len(reports)),
            answered=len(reports),
        )

    async def _answer_node(self, question: bytes) -> bytes:
        """Return this node's part of an answer."""
        try:
            asked_for = _node_question.decode(question)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return b""
        match asked_for:
            case Question():
                return msgspec.json.encode(await self._diagnosing.report(asked_for))
            case TailQuestion():
                return msgspec.json.encode(self.feeds.fetch(asked_for))
            case ConnectionsQuestion():
                return msgspec.json.encode(await self._inventory.connections(asked_for))
            case KickOrder():
                return msgspec.json.encode(self._inventory.kick(asked_for))

    async def _tail(self, question: TailQuestion) -> TailReport:
        """Return what has happened on all nodes, the oldest first."""
        others = self._others()
        asking = self.cluster.ask(msgspec.json.encode(question), others, _PATIENCE)
        own = self.feeds.fetch(question)
        reports = [own, *_decoded(_tail_report, await asking)]
        rows = sorted((row for report in reports for row in report.rows), key=lambda row: -row.ago)
        return TailReport(
            rows=rows,
            dropped=sum(report.dropped for report in reports),
            refused=any(report.refused for report in reports),
            nodes=max(others + 1, len(reports)),
            answered=len(reports),
        )

    def _watch(self, is_watched: bool) -> None:
        """Observe signals while there is a feed: else `EventPublished` is not even made."""
        if is_watched:
            self._observers.observe(self.feeds.observe, *OBSERVED)
        else:
            self._observers.ignore(self.feeds.observe, *OBSERVED)


def _decoded(decoder: msgspec.json.Decoder[T], answers: Iterable[bytes]) -> Iterator[T]:
    """Yield the answers of other nodes, without those of another release."""
    for answer in answers:
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield decoder.decode(answer)
