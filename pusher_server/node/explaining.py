"""Answers for the whole cluster why nothing arrives: one node asks the others and merges the answers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from pusher_server.diagnosis.explanation import Explanation, WhyQuestion, explanation, wanted
from pusher_server.diagnosis.report import ProcessReport, Question
from pusher_server.errors import ClusterUnavailable
from pusher_server.node.cluster_questions import ClusterQuestions
from pusher_server.node.diagnosing import Diagnosing

#: Seconds that other nodes have to answer.
PATIENCE = 2.5
#: Seconds for the last look-ups.
_LOOK_UP = 1.0

_report = msgspec.json.Decoder(ProcessReport)


class Explaining:
    """`others` gives the number of live nodes beside this one."""

    def __init__(
        self, diagnosing: Diagnosing, questions: ClusterQuestions, others: Callable[[], int]
    ) -> None:
        self._diagnosing = diagnosing
        self._questions = questions
        self._others = others

    async def explain(self, why: WhyQuestion) -> Explanation:
        """Return the answer of all nodes that reply in time."""
        question = Question(app=why.app, channel=why.channel)
        others = self._others()
        own, answers = await asyncio.gather(
            self._diagnosing.report(question),
            self._questions.ask(msgspec.json.encode(question), others, PATIENCE),
        )
        reports = [own, *(report for report in map(_decoded, answers) if report is not None)]
        held: dict[str, dict[str, int]] = {}
        with suppress(ClusterUnavailable, TimeoutError):
            async with asyncio.timeout(_LOOK_UP):
                for row in wanted(question, reports):
                    counts = await self._diagnosing.holders(row.app, row.names)
                    held.setdefault(row.app, {}).update(counts)
        return explanation(question, why.event, reports, others + 1, held)


def _decoded(answer: bytes) -> ProcessReport | None:
    """Return a report; None for that of another release, which is no answer."""
    try:
        return _report.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
