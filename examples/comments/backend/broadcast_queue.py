"""Broadcasting as Laravel does it: a request queues the event, a worker posts it afterwards.

`ShouldBroadcast` events are jobs: the API has answered before the Pusher server is asked. One
worker thread plays `php artisan queue:work`, so events leave in the order in which they were
queued, and a Pusher server that is down costs no request anything. A failed job is logged and
not tried again, as with Laravel's default of one try.
"""

import json
import logging
import queue
import threading
import time
from typing import Any, NamedTuple

import pusher  # type: ignore[import-untyped]  # the library ships no types
from pusher.errors import PusherBadAuth, PusherBadRequest, PusherError  # type: ignore[import-untyped]
from requests import RequestException
from settings import Settings

log = logging.getLogger("comments.queue")

#: Seconds that a publication may take; Guzzle's 30 would hold up everything queued behind it.
PUBLISH_TIMEOUT = 5


class BroadcastJob(NamedTuple):
    """What Laravel's `BroadcastEvent` job hands to its Pusher broadcaster."""

    event: str
    channels: list[str]
    data: dict[str, Any]
    socket_id: str | None


class BroadcastQueue:
    """Jobs in, publications out, one at a time. Without a worker, jobs just pile up."""

    def __init__(self, client: Any, *, worker: bool) -> None:
        self._client = client
        self._jobs: queue.SimpleQueue[BroadcastJob | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="queue-worker") if worker else None
        if self._worker:
            self._worker.start()

    def push(self, job: BroadcastJob) -> None:
        """Queue a job; returns at once and never fails."""
        self._jobs.put(job)
        if self._worker is None:
            log.warning(
                "%s waits in the queue: no worker runs (%d waiting)", job.event, self._jobs.qsize()
            )

    def close(self) -> None:
        """Let the worker finish what is queued, then end it."""
        if self._worker:
            self._jobs.put(None)
            self._worker.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            started = time.perf_counter()
            try:
                self._client.trigger(
                    job.channels, job.event, encode_as_php(job.data), job.socket_id
                )
            except (PusherError, RequestException, ValueError) as error:
                log.error("%s FAILED: %s", job.event, explain(error))
                continue
            milliseconds = (time.perf_counter() - started) * 1000
            others = f" except {job.socket_id}" if job.socket_id else ""
            log.info(
                "%s on %s%s: done in %.0f ms",
                job.event,
                ", ".join(job.channels),
                others,
                milliseconds,
            )


def pusher_client(settings: Settings) -> Any:
    """The official library, pointed at our server instead of pusher.com."""
    return pusher.Pusher(
        app_id=settings.app_id,
        key=settings.key,
        secret=settings.secret,
        host=settings.pusher_host,
        port=settings.pusher_port,
        ssl=settings.pusher_scheme == "https",
        timeout=PUBLISH_TIMEOUT,
    )


def encode_as_php(data: dict[str, Any]) -> str:
    """JSON as PHP's `json_encode` writes it by default: ASCII only, `/` escaped."""
    return json.dumps(data, separators=(",", ":")).replace("/", "\\/")


def explain(error: Exception) -> str:
    """One line that says what to check."""
    if isinstance(error, (PusherBadAuth, PusherBadRequest)):
        return f"the Pusher server refused us (check PUSHER_APP_ID, _KEY, _SECRET): {error}"
    if isinstance(error, RequestException):
        return f"the Pusher server does not answer (PUSHER_HOST, PUSHER_PORT): {error}"
    return str(error)
