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

from pusher.errors import (  # type: ignore[import-untyped]  # the library ships no types
    PusherBadAuth,
    PusherBadRequest,
    PusherError,
)
from requests import RequestException

log = logging.getLogger("comments.queue")


class BroadcastJob(NamedTuple):
    """What Laravel's `BroadcastEvent` job hands to its Pusher broadcaster."""

    event: str
    channels: list[str]
    data: dict[str, Any] | str
    socket_id: str | None


class BroadcastQueue:
    """Jobs in, publications out, one at a time. Without a worker, jobs just pile up.

    `client` is None for a worker that only logs (BROADCAST_CONNECTION=log). `sleep`: seconds between
    two looks at an empty queue, as with a queue in a database; 0 wakes the worker at once.
    """

    def __init__(self, client: Any, *, worker: bool, sleep: float = 0.0) -> None:
        self._client = client
        self._sleep = sleep
        self._jobs: queue.SimpleQueue[BroadcastJob | None] = queue.SimpleQueue()
        self._ending = threading.Event()
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
            self._ending.set()
            self._worker.join()

    def _next(self) -> BroadcastJob | None:
        if not self._sleep:
            return self._jobs.get()
        while True:
            try:
                return self._jobs.get_nowait()
            except queue.Empty:
                self._ending.wait(self._sleep)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if self._client is None:
                log.info("%s is only logged: %s", job.event, encode_as_php(job.data))
                continue
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


def encode_as_php(data: dict[str, Any] | str) -> str:
    """JSON as PHP's `json_encode` writes it by default: ASCII only, `/` escaped."""
    return json.dumps(data, separators=(",", ":")).replace("/", "\\/")


def explain(error: Exception) -> str:
    """One line that says what to check."""
    if isinstance(error, (PusherBadAuth, PusherBadRequest)):
        return f"the Pusher server refused us (check PUSHER_APP_ID, _KEY, _SECRET): {error}"
    if isinstance(error, RequestException):
        return f"the Pusher server does not answer (PUSHER_HOST, PUSHER_PORT): {error}"
    return str(error)
