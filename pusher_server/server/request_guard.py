"""Who keeps us waiting over HTTP, and until when."""

from typing import TYPE_CHECKING

from pusher_server.config import HttpSettings

if TYPE_CHECKING:
    from pusher_server.server.http_protocol import HttpProtocol


class RequestGuard:
    """Who is in the middle of sending a request, and until when it may take (slow-loris)."""

    def __init__(self, settings: HttpSettings) -> None:
        self.settings = settings
        self.deadlines: dict[HttpProtocol, float] = {}
        #: Who has been answered on the short way, and until when the next request may take to come.
        self.idle: dict[HttpProtocol, float] = {}
        #: Who does not read our answers, and until when that is waited for.
        self.unread: dict[HttpProtocol, float] = {}

    def tick(self, now: float) -> None:
        """End the requests that take too long. Called a few times a second."""
        for protocol in [each for each, deadline in self.idle.items() if deadline <= now]:
            protocol.transport.close()
        for protocol in [each for each, deadline in self.unread.items() if deadline <= now]:
            protocol.transport.abort()
        for protocol in [each for each, deadline in self.deadlines.items() if deadline <= now]:
            protocol.refuse(b"408 Request Timeout", b"The request did not arrive in time.\n")
