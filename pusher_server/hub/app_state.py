"""All of one app on this node. Connections refer to it, so a changed app is a changed `app` here."""

from pusher_server.app import App
from pusher_server.hub.channel import Channel
from pusher_server.hub.connection import Connection
from pusher_server.hub.traffic import AppTraffic
from pusher_server.hub.users import UserDirectory


class AppState:
    """The app's current value with its connections, channels and users."""

    __slots__ = ("app", "channels", "connections", "subscriptions", "traffic", "users")

    def __init__(self, app: App, traffic: AppTraffic) -> None:
        self.app = app
        self.traffic = traffic
        #: By socket_id.
        self.connections: dict[str, Connection] = {}
        #: By name.
        self.channels: dict[str, Channel] = {}
        #: How many there are, of all connections in all channels.
        self.subscriptions = 0
        self.users = UserDirectory()
