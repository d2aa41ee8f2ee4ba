"""A site on a real node and a real API: clients come and go, a backend publishes, somebody asks why."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from pusher_server.app import App, AppKey
from pusher_server.clients.admission import Admission
from pusher_server.clients.answers import answer
from pusher_server.clients.registry import ClientRegistry
from pusher_server.clients.request import ClientRequest
from pusher_server.config import WebsocketSettings
from pusher_server.diagnosis.evidence import Ended
from pusher_server.diagnosis.explanation import Explanation, WhyQuestion
from pusher_server.diagnosis.findings import Finding
from pusher_server.errors import PusherServerError
from pusher_server.protocol.errors import ConnectionRejected
from pusher_server.protocol.messages import ClientEvent, SignIn, Subscribe
from pusher_server.server.misdirected import MisdirectedLog, Mistake
from pusher_server.websocket.edge import WebSocketEdge
from tests.support.fakes import FakeConnection
from tests.support.signing import channel_auth, signed_query, user_auth
from tests.unit.http_api.backend import Backend

KEY, SECRET = "278d425bdf160c739803", "7ad3773142a6692b25b8"
KEY_2, SECRET_2 = "aaaabbbbccccddddeeee", "ffff0000ffff0000ffff"
ADDRESS = "192.0.2.1"
APP = App(id="3", keys=(AppKey(key=KEY, secret=SECRET), AppKey(key=KEY_2, secret=SECRET_2)))


class Site:
    """`app` is the only one, or the first. `path_prefix` is that of the server."""

    def __init__(self, app: App = APP, *, path_prefix: str = "") -> None:
        self.app = app
        self.backend = Backend(app, path_prefix=path_prefix)
        self.fixture = self.backend.fixture
        self.node = self.fixture.node
        self.clock = self.fixture.clock
        clients = ClientRegistry(0, self.clock)
        admission = Admission(self.node, self.fixture.apps, clients, lambda below: below - 1)
        self._edge = WebSocketEdge(
            self.node, clients, admission, WebsocketSettings(), path_prefix=path_prefix
        )

    # Clients

    def connect(self, app: App | None = None) -> FakeConnection:
        """An established client."""
        return self.fixture.connect(app)

    async def waiting(self, *channels: str, times: int = 1) -> FakeConnection:
        """So many clients that are subscribed to these channels; the last one is returned."""
        for _ in range(times):
            client = self.connect()
            for channel in channels:
                data = member(client.socket_id) if "presence-" in channel else None
                auth = channel_auth(KEY, SECRET, client.socket_id, channel, data)
                await self.node.subscriptions.subscribe(client, Subscribe(channel, auth, data))
                self.fixture.flush()
        return client

    async def subscribe(
        self, client: FakeConnection, channel: str, auth: str, data: str | None = None
    ) -> None:
        """A subscription as a client sends it; a refusal is answered."""
        try:
            await self.node.subscriptions.subscribe(client, Subscribe(channel, auth, data))
        except PusherServerError as error:
            answer(client, self.node, error)

    async def sign_in(self, client: FakeConnection, auth: str, data: str) -> None:
        """A sign-in as a client sends it; a refusal is answered."""
        try:
            await self.node.users.sign_in(client, SignIn(auth, data))
        except PusherServerError as error:
            answer(client, self.node, error)

    def whisper(self, client: FakeConnection, channel: str) -> None:
        """A client event; a refusal is answered."""
        try:
            self.node.publishing.client_event(client, ClientEvent("client-typing", channel, b'"x"'))
        except PusherServerError as error:
            answer(client, self.node, error)

    async def upgrade(
        self, target: str, headers: Mapping[str, str] | None = None, *, secure: bool = False
    ) -> None:
        """A client that asks for a connection; a refusal is answered as in `Session._establish`."""
        rows = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        request = ClientRequest("GET", target, rows, ADDRESS, False, None, None)
        app_id = ""
        try:
            app = await self._edge.admission.app_for(self._edge.key_of(request))
            app_id = app.id
            self._edge.admission.admit(app, request, secure=secure)
        except ConnectionRejected as error:
            error.path = target
            self.node.turned_away(app_id, ADDRESS, error)

    def comes_wrong(self, mistake: Mistake) -> None:
        """A request that a proxy or a client has damaged."""
        MisdirectedLog(self.node.emit, self.clock, self.node.evidence).note(mistake, ADDRESS, 6001)

    def leave(self, client: FakeConnection, code: int = 1001) -> None:
        """A client ends."""
        self.ended(client.socket_id, code=code)
        self.node.close(client, code, settle=False)

    def ended(
        self,
        socket_id: str = "9.9",
        *,
        code: int = 1001,
        lived: float = 5.0,
        idle: float | None = None,
        address: str = ADDRESS,
    ) -> None:
        """The trace of a connection that has ended now."""
        now = self.clock()
        row = Ended(self.app.id, address, socket_id, code, now - lived, now, idle)
        self.node.evidence.ended.append(row)

    # The backend

    async def publish(
        self,
        channels: str | Iterable[str],
        name: str = "comment.created",
        *,
        socket_id: str | None = None,
    ) -> None:
        """A signed publication, which is accepted."""
        names = [channels] if isinstance(channels, str) else [*channels]
        body: dict[str, Any] = {"name": name, "channels": names, "data": "{}"}
        if socket_id is not None:
            body["socket_id"] = socket_id
        response = await self.backend.post("/events", body)
        assert response.status_code == 200, response.text
        self.fixture.flush()

    async def request(
        self,
        *,
        key: str = KEY,
        secret: str = SECRET,
        method: str = "POST",
        signed_method: str | None = None,
        path: str = "/apps/3/events",
        signed_path: str | None = None,
        body: bytes = b'{"name":"e","channels":["a"],"data":"x"}',
        sent_body: bytes | None = None,
        added: str = "",
        skew: float = 0.0,
    ) -> httpx.Response:
        """A request that may be signed or sent wrongly."""
        query = signed_query(
            key,
            secret,
            signed_method or method,
            signed_path or path,
            body,
            now=self.backend.now - skew,
        )
        content = body if sent_body is None else sent_body
        return await self.backend.send(method, f"{path}?{query}{added}", content=content)

    # The operator

    async def wait(self, seconds: float) -> None:
        """Time passes, and the node looks at its evidence."""
        await self.node.operator.step()
        self.fixture.wait(seconds)
        await self.node.operator.step()

    async def explain(self, **question: str) -> Explanation:
        """Ask why nothing arrives."""
        return await self.node.operator.explaining.explain(WhyQuestion(**question))

    async def findings(self) -> list[Finding]:
        """The findings about everything."""
        return (await self.explain()).findings


def auth_of(socket_id: str, channel: str, data: str | None = None, secret: str = SECRET) -> str:
    """A subscription's `auth`, right unless its arguments are wrong."""
    return channel_auth(KEY, secret, socket_id, channel, data)


def sign_in_of(socket_id: str, data: str, secret: str = SECRET) -> str:
    """A sign-in's `auth`, right unless its arguments are wrong."""
    return user_auth(KEY, secret, socket_id, data)


def member(user_id: str = "7") -> str:
    """The `channel_data` of a presence channel."""
    return json.dumps({"user_id": user_id})
