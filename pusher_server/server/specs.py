"""Start-up specifications: the supervisor sends one to a process first, on its control channel."""

import socket

from msgspec import Struct

from pusher_server.config import Config, LogSettings


class WorkerSpec(Struct, frozen=True):
    """One worker among `count`, the first is 1. File descriptors are those that it inherits.

    `config` is the supervisor's: a file that has gone bad since does not keep a replacement from starting.
    `config_path` is for reloads. `node_id` is new with every start: others must not take a process for
    its predecessor. `bus` is the path of the bus's socket, "" when the cluster does without.
    """

    index: int
    count: int
    node_id: str
    listeners: tuple[int, ...]
    bus: str
    config: Config
    config_path: str | None

    def sockets(self) -> list[socket.socket]:
        """The sockets that it listens on; the supervisor holds these open too."""
        return [socket.socket(fileno=number) for number in self.listeners]


class BusSpec(Struct, frozen=True):
    """The bus process. `listener`: the inherited socket, bound to `path`.

    When the supervisor is gone without a stop, the bus serves until its workers are gone too, but no longer
    than `linger` seconds. Then it removes `path` and `private_directory` ("" when there is none).
    `loop` is the setting `server.loop`. `is_first`: no bus of this supervisor has run before.
    """

    listener: int
    path: str
    private_directory: str
    lease: float
    undo_window: float
    linger: float
    loop: str
    log: LogSettings
    is_first: bool
