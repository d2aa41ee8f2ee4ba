"""Run the stand-in backend: `python examples/comments/backend`."""

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from broadcast_queue import BroadcastQueue
from comment_store import CommentStore
from faults import Faults
from pusher_clients import pusher_client, worker_client
from routes import LIBRARIES, CommentsApi
from settings import Settings, read_settings
from starlette.applications import Starlette

log = logging.getLogger("comments")


def main() -> None:
    """Serve until SIGINT or SIGTERM, then let the queue run empty."""
    settings = read_settings(sys.argv[1:], os.environ)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)-14s %(message)s")
    store = CommentStore(settings.database, seed=settings.seed)
    try:
        client = pusher_client(settings)
        publisher = worker_client(settings)
    except ValueError as error:
        sys.exit(f"{error}: check PUSHER_APP_*; the Python library wants an app id of digits")
    jobs = BroadcastQueue(publisher, worker=settings.worker, sleep=settings.worker_sleep)
    application = CommentsApi(settings, store, jobs, client).application()
    application.router.lifespan_context = lambda app: _announce(app, settings)
    try:
        uvicorn.run(
            application,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
        )
    finally:
        jobs.close()
        store.close()


@asynccontextmanager
async def _announce(application: Starlette, settings: Settings) -> AsyncIterator[None]:
    address = f"http://{settings.host}:{settings.port}"
    log.info("one phone:  %s/?user=amina   (or bruno, chloe)", address)
    log.info("two phones: %s/duo", address)
    log.info(
        "publishing to %s://%s:%d as app %s",
        settings.pusher_scheme,
        settings.pusher_host,
        settings.pusher_port,
        settings.app_id,
    )
    if not settings.worker:
        log.warning("no queue worker: comments are saved, but nobody is told")
    if settings.faults != Faults():
        log.warning("wrong on purpose: %s", settings.faults)
    if not all((settings.libraries / path).is_file() for path in LIBRARIES.values()):
        log.warning("the page needs pusher-js and laravel-echo: npm install in examples/comments")
    yield


if __name__ == "__main__":
    main()
