"""Chooses and opens the outbox: in the cluster's Redis, or in a file of this machine."""

import fcntl
import os
import time
from pathlib import Path

from pusher_server.config import WebhookSettings
from pusher_server.config.redis import RedisSettings
from pusher_server.errors import ConfigError
from pusher_server.redis.access import peer_of
from pusher_server.webhooks.outbox.interface import Outbox, OutboxUnavailable
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox


class RedisOpening:
    """Opens the outbox in the cluster's Redis, for all its nodes."""

    def __init__(self, redis: RedisSettings, settings: WebhookSettings) -> None:
        self._redis = redis
        self._settings = settings

    @property
    def place(self) -> str:
        """The location as text for people."""
        return peer_of(self._redis)

    def is_left(self) -> bool:
        """False: only a connection would show it. `server/webhooks.py` opens Redis if webhooks are expected."""
        return False

    async def open(self) -> Outbox:
        """Make the outbox. It connects when it is first used, and again after an outage."""
        return _on_redis(self._redis, self._settings)


class FileOpening:
    """Opens the outbox in a file. `owner` names this server, the same in all its processes."""

    def __init__(self, path: Path, owner: str, settings: WebhookSettings) -> None:
        self._path = path
        self._owner = owner
        self._settings = settings
        #: The lock of the file, held until the process ends.
        self._lock: int | None = None

    @property
    def place(self) -> str:
        """The location as text for people."""
        return str(self._path)

    def is_left(self) -> bool:
        """Whether the file exists."""
        return _exists(self._path)

    async def open(self) -> Outbox:
        """Open the file. Raises OutboxUnavailable, also when another server uses it: it would drop entries."""
        try:
            self._own()
        except OSError as error:
            raise OutboxUnavailable(
                f"webhooks.outbox: {self._path} cannot be made ({error.strerror or error}); name a file"
                " that the server's user can make"
            ) from error
        outbox = _in_file(self._path, self._settings)
        try:
            await outbox.believed()
        except OutboxUnavailable:
            await outbox.close()
            raise
        return outbox

    def _own(self) -> None:
        """Lock the file for this server. The first process writes the owner; the last one ends the lock."""
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


def look_into(path: Path, redis: RedisSettings, settings: WebhookSettings) -> Outbox | None:
    """Open the outbox to read it, beside the server that owns it; None when there is no file.

    Raises OutboxUnavailable.
    """
    if redis.is_set:
        return _on_redis(redis, settings)
    return _in_file(path, settings) if _exists(path) else None


def opening(
    path: Path, redis: RedisSettings, settings: WebhookSettings, owner: str
) -> RedisOpening | FileOpening:
    """The outbox's location: Redis if nodes share one, else the file."""
    return RedisOpening(redis, settings) if redis.is_set else FileOpening(path, owner, settings)


def _on_redis(redis: RedisSettings, settings: WebhookSettings) -> Outbox:
    # Imported here: it takes 0.1 s, which servers without Redis need not spend.
    from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox

    try:
        return RedisOutbox(
            redis,
            peer_of(redis),
            waiting=settings.waiting,
            waiting_bytes=settings.waiting_bytes,
            dead_letters=settings.dead_letters,
            log_size=settings.log_size,
        )
    except ConfigError as error:  # a certificate that was there when the server was started
        raise OutboxUnavailable(str(error)) from None


def _in_file(path: Path, settings: WebhookSettings) -> Outbox:
    return SqliteOutbox(
        path,
        clock=time.time,
        waiting=settings.waiting,
        waiting_bytes=settings.waiting_bytes,
        dead_letters=settings.dead_letters,
        log_size=settings.log_size,
    )


def _exists(path: Path) -> bool:
    """Whether the file exists; False also without permission, where `Path.exists` raises an error."""
    return os.path.exists(path)
