"""Finds dead connections of a full app sooner: its silent clients are pinged at once, not at their next turn.

A phone that loses its network leaves a connection that looks idle. It holds a place of `limits.connections`
for `activity_timeout` and `pong_timeout`, 150 s by default, while its owner is refused. Pinged while the app is
full, it holds it for `pong_timeout` and the times below (docs/decisions.md#a-full-app).
"""

from collections import deque
from typing import cast

from pusher_server.clients.heartbeat import Watched
from pusher_server.clients.registry import ClientRegistry
from pusher_server.node.node import Node

#: Seconds between two looks for full apps, and between two rounds of pings for one app.
LOOK = 1.0
ROUND = 15.0
#: Seconds of silence after which a client is pinged. Those that sent something lately are there.
SILENCE = 10.0
#: Clients that are looked at in one tick, of all apps together: 2,000 a second, at most 2 ms each time.
BATCH = 500


class FullApps:
    """`tick` is called a few times a second. Each node pings its own clients, by the count of all nodes."""

    def __init__(self, node: Node, clients: ClientRegistry) -> None:
        self._node = node
        self._clients = clients
        self._look_at = 0.0
        #: App id -> when its next round may begin.
        self._next_round: dict[str, float] = {}
        #: Clients that the rounds have not looked at yet. New rounds begin when there are none, so each
        #: client of this process stands here once at most.
        self._waiting: deque[Watched] = deque()

    def tick(self) -> None:
        """Begin rounds that are due, and go on with those that have begun."""
        now = self._clients.clock()
        if now >= self._look_at and not self._waiting:
            self._look_at = now + LOOK
            self._begin(now)
        for _ in range(min(BATCH, len(self._waiting))):
            self._clients.heartbeat.look(self._waiting.popleft(), now, SILENCE)

    def _begin(self, now: float) -> None:
        self._next_round = {app_id: at for app_id, at in self._next_round.items() if at > now}
        for app_id, app_state in self._node.hub.app_states.items():
            if app_id not in self._next_round and self._node.is_full(app_state.app):
                self._next_round[app_id] = now + ROUND
                # The hub of a server holds sessions, which are all watched.
                self._waiting += [cast(Watched, row) for row in app_state.connections.values()]
