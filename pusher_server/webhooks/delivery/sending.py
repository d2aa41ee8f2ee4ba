"""The interface between delivery and HTTP: a request goes out, an answer comes back."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from pusher_server.app import Webhook


class Answer(Struct, frozen=True):
    """The answer to a request. `status` is 0 when there was none; then `text` is the reason, for people.

    Else `text` is the beginning of the answer, 200 characters at most. `took` is in seconds. `is_denied`: no
    request may go to this target, so a retry is useless.
    """

    status: int
    text: str
    took: float
    is_denied: bool = False

    @property
    def is_success(self) -> bool:
        """Whether the target accepted the events; not with a redirect (docs/protocol/webhooks.md#request)."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """The reason why it is no success, in a few words."""
        return f"status {self.status}" if self.status else self.text


class Send(Protocol):
    """Post `body` with exactly these headers; never raises for faults of the network or the target."""

    async def __call__(
        self, webhook: Webhook, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> Answer: ...
