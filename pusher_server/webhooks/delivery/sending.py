"""How a request goes out and what comes back: the seam between delivering and HTTP."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from pusher_server.app import Webhook


class Answer(Struct, frozen=True):
    """What came back. `status` is 0 when nothing did, then `text` says why, for people.

    Else `text` is how the answer begins, 200 characters at most. `took` is in seconds. `is_denied`: nothing may
    be sent there, so there is no point in trying again.
    """

    status: int
    text: str
    took: float
    is_denied: bool = False

    @property
    def is_success(self) -> bool:
        """The target has taken the events; a redirect is none (docs/protocol/webhooks.md#request)."""
        return 200 <= self.status < 300

    @property
    def reason(self) -> str:
        """Why it is no success, in a few words."""
        return f"status {self.status}" if self.status else self.text


class Send(Protocol):
    """Post `body` with exactly these headers; never raises for what the network or the target does."""

    async def __call__(
        self, webhook: Webhook, body: bytes, headers: Sequence[tuple[str, str]]
    ) -> Answer: ...
