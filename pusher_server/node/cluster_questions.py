"""Questions that one node asks all others: over the control topic, with answers on a topic of its own.

A question and an answer have a bound each, and the wait has one, too. Nodes of older releases do not answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count

from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import (
    CONTROL,
    AnswerMessage,
    QuestionMessage,
    answers_topic,
)
from pusher_server.node.parts import NodeParts

#: Bytes of a question and of an answer.
QUESTION_BYTES = 4_096
ANSWER_BYTES = 262_144
#: Answers, and seconds for them, while the number of nodes is unknown: until the first renewal of the lease.
_UNKNOWN = 64
_BRIEFLY = 0.5
#: Questions that a node answers at a time: more are dropped, and their asker goes without this node.
_AT_ONCE = 4


class _Waiting:
    """A question that was asked: the answers so far, and how many there may be."""

    def __init__(self, expected: int) -> None:
        self.answers: list[bytes] = []
        self.expected = expected
        self.complete = asyncio.Event()

    def add(self, answer: bytes) -> None:
        self.answers.append(answer)
        if len(self.answers) >= self.expected:
            self.complete.set()


class ClusterQuestions:
    """`answer` makes this node's answer to a question of any node."""

    def __init__(self, parts: NodeParts, answer: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._node_id = parts.node_id
        self._broker = parts.broker
        self._is_alone = parts.roster.alone
        self._answer = answer
        self._numbers = count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(self, question: bytes, others: int, patience: float) -> list[bytes]:
        """Return the answers of other nodes that come within `patience` seconds: `others` at most.

        With `others` 0 the node has not learned yet how many there are. Then it waits briefly for some.
        """
        if self._is_alone or len(question) > QUESTION_BYTES:
            return []
        if others < 1:
            others, patience = _UNKNOWN, min(patience, _BRIEFLY)
        number = next(self._numbers)
        waiting = self._waiting[number] = _Waiting(others)
        try:
            with suppress(ClusterUnavailable, TimeoutError):
                async with asyncio.timeout(patience):
                    await self._broker.subscribe(answers_topic(self._node_id))
                    message = QuestionMessage(asker=self._node_id, number=number, question=question)
                    self._broker.publish(CONTROL, message)
                    await waiting.complete.wait()
        finally:
            del self._waiting[number]
        return waiting.answers

    def came(self, message: QuestionMessage) -> None:
        """Another node asks: answer it in a task."""
        if len(self._answering) >= _AT_ONCE or len(message.question) > QUESTION_BYTES:
            return
        task = asyncio.get_running_loop().create_task(self._reply(message))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def answered(self, message: AnswerMessage) -> None:
        """Another node has answered; an answer that comes late is dropped."""
        waiting = self._waiting.get(message.number)
        if waiting is not None and len(message.answer) <= ANSWER_BYTES:
            waiting.add(message.answer)

    async def _reply(self, message: QuestionMessage) -> None:
        answer = await self._answer(message.question)
        if answer and len(answer) <= ANSWER_BYTES:
            reply = AnswerMessage(number=message.number, answer=answer)
            self._broker.publish(answers_topic(message.asker), reply)
