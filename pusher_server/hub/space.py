"""All of one app on this node. Connections refer to it, so a changed app is a changed `app` here."""

from pusher_server.app import App
from pusher_server.hub.channel import Channel
from pusher_server.hub.connection import Connection
from pusher_server.hub.users import UserDirectory


class AppSpace:
    """The app's current value with its connections, channels and users."""

    __slots__ = ("app", "channels", "connections", "users")

    def __init__(self, app: App) -> None:
        self.app = app
        #: By socket_id.
        self.connections: dict[str, Connection] = {}
        #: By name.
        self.channels: dict[str, Channel] = {}
        self.users = UserDirectory()
