"""A hub with clients, whose loop turns by hand."""

from pusher_server.app import App, AppKey, Member
from pusher_server.hub.channel import Subscription
from pusher_server.hub.hub import Hub
from pusher_server.protocol.channel_name import parse_channel_name
from tests.support.fakes import FakeCallSoon, FakeConnection

APP = App(id="1", keys=(AppKey(key="key", secret="secret"),))


class HubFixture:
    """Payloads are short texts; `chunk` as in the fan-out."""

    def __init__(self, chunk: int = 500) -> None:
        self.loop = FakeCallSoon()
        #: What the clock says.
        self.seconds = 0.0
        self.hub = Hub(self.loop, chunk=chunk, clock=lambda: self.seconds)
        self.app_state = self.hub.app_state(APP)

    def client(self, socket_id: str) -> FakeConnection:
        """An established client."""
        connection = FakeConnection(self.app_state, socket_id)
        self.hub.open(connection)
        return connection

    def pend(
        self, connection: FakeConnection, name: str = "c", user: str | None = None
    ) -> Subscription:
        """Subscribe, not yet active; as `user` on a presence channel."""
        member = None if user is None else Member(user)
        return self.hub.subscribe(connection, parse_channel_name(name), member).subscription

    def join(self, connection: FakeConnection, name: str = "c") -> Subscription:
        """Subscribe and activate, with the opening frame `ok`."""
        subscription = self.pend(connection, name)
        self.hub.activate(subscription, [b"ok"])
        return subscription

    def crowd(self, size: int, name: str = "c") -> list[FakeConnection]:
        """Clients that are subscribed, with nothing in their hands."""
        clients = [self.client(f"1.{i}") for i in range(size)]
        for client in clients:
            self.join(client, name)
            client.writes.clear()
        return clients

    def deliver(self, payload: str, name: str = "c", skip: str | None = None) -> int:
        """Publish."""
        return self.hub.deliver(self.app_state, name, payload.encode(), skip=skip)


def heard(client: FakeConnection) -> str:
    """What a client has got, in order."""
    return " ".join(payload.decode() for payload in client.payloads)
