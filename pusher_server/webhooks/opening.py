"""Where the outbox is, and how it is opened: in the cluster's Redis, or in a file of this machine."""

import fcntl
import os
import time
from pathlib import Path

from pusher_server.config.redis import RedisSettings, parse_url
from pusher_server.webhooks.outbox import Outbox, OutboxUnavailable
from pusher_server.webhooks.sqlite_outbox import SqliteOutbox


class RedisOpening:
    """The cluster's Redis, for all its nodes."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings

    @property
    def place(self) -> str:
        """For people."""
        return peer_of(self._settings)

    def is_left(self) -> bool:
        """Nodes that are gone may have left something."""
        return True

    async def open(self) -> Outbox:
        """It connects when it is used, and again after an outage."""
        return _on_redis(self._settings)


class FileOpening:
    """`path` is the setting `webhooks.outbox`; `owner` names this server, the same in all its processes."""

    def __init__(self, path: str, owner: str) -> None:
        self._path = Path(path).absolute()
        self._owner = owner
        #: Held open as long as the file is ours.
        self._lock: int | None = None

    @property
    def place(self) -> str:
        """For people."""
        return str(self._path)

    def is_left(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    async def open(self) -> Outbox:
        """Raises OutboxUnavailable, also when another server has the file: it would drop what is not its."""
        try:
            self._own()
        except OSError as error:
            raise OutboxUnavailable(
                f"webhooks.outbox: {self._path}: {error.strerror or error}"
            ) from error
        outbox = SqliteOutbox(self._path, clock=time.time)
        try:
            await outbox.believed()
        except OutboxUnavailable:
            await outbox.close()
            raise
        return outbox

    def give_up(self) -> None:
        """Others may have the file. The end of the process does it, too."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _own(self) -> None:
        """The first process writes down whose it is; the lock ends with the last one, however that ends."""
        if self._lock is not None:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(f"{self._path}.owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
            if os.pread(lock, 4_096, 0).decode() != self._owner:
                os.close(lock)
                raise OutboxUnavailable(
                    f"webhooks.outbox: {self._path} is another running server's; name another file"
                ) from None
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, self._owner.encode(), 0)
            fcntl.flock(lock, fcntl.LOCK_SH)
        self._lock = lock


def peer_of(settings: RedisSettings) -> str:
    """For operators, without a password."""
    if settings.sentinels:
        return f"Redis {settings.sentinel_master!r}"
    places = parse_url(settings.url).places
    return "a Redis Cluster" if settings.cluster else f"Redis at {places[0]}"


def _on_redis(settings: RedisSettings) -> Outbox:
    # Imported here: it takes 0.1 s, which servers without Redis need not spend.
    from pusher_server.webhooks.redis_outbox import RedisOutbox

    return RedisOutbox(settings, peer_of(settings))


def look_into(path: str, redis: RedisSettings) -> Outbox | None:
    """For whoever only asks, beside the server that owns it; None when there is no file."""
    if redis.is_set:
        return _on_redis(redis)
    found = Path(path)
    return SqliteOutbox(found, clock=time.time) if found.exists() else None


def opening(path: str, redis: RedisSettings, owner: str) -> RedisOpening | FileOpening:
    """Of what the settings name."""
    return RedisOpening(redis) if redis.is_set else FileOpening(path, owner)
