"""Answers the questions of operators, for this node and, with the others' answers, for the whole cluster."""

from collections.abc import Callable

import msgspec

from pusher_server.diagnosis.explanation import WhyQuestion
from pusher_server.diagnosis.live import OBSERVED, Feeds, TailQuestion, TailReport
from pusher_server.diagnosis.report import Question
from pusher_server.node.cluster_questions import ClusterQuestions
from pusher_server.node.diagnosing import Diagnosing
from pusher_server.node.explaining import Explaining
from pusher_server.node.parts import NodeParts

#: Seconds that other nodes have for what has happened.
_TAIL_PATIENCE = 1.0

OperatorQuestion = WhyQuestion | TailQuestion
_operator_question: msgspec.json.Decoder[OperatorQuestion] = msgspec.json.Decoder(OperatorQuestion)
_node_question: msgspec.json.Decoder[Question | TailQuestion] = msgspec.json.Decoder(
    Question | TailQuestion
)
_tail_report = msgspec.json.Decoder(TailReport)


class OperatorQuestions:
    """`others` gives the number of live nodes beside this one."""

    def __init__(self, parts: NodeParts, diagnosing: Diagnosing, others: Callable[[], int]) -> None:
        self._diagnosing = diagnosing
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
        if isinstance(asked_for, WhyQuestion):
            return msgspec.json.encode(await self.explaining.explain(asked_for))
        return msgspec.json.encode(await self._tail(asked_for))

    async def _answer_node(self, question: bytes) -> bytes:
        """Return this node's part of an answer."""
        try:
            asked_for = _node_question.decode(question)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return b""
        if isinstance(asked_for, Question):
            return msgspec.json.encode(await self._diagnosing.report(asked_for))
        return msgspec.json.encode(self.feeds.fetch(asked_for))

    async def _tail(self, question: TailQuestion) -> TailReport:
        """Return what has happened on all nodes, the oldest first."""
        others = self._others()
        asking = self.cluster.ask(msgspec.json.encode(question), others, _TAIL_PATIENCE)
        answers = [msgspec.json.encode(self.feeds.fetch(question)), *await asking]
        reports = [_tail_report.decode(answer) for answer in answers if answer]
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
