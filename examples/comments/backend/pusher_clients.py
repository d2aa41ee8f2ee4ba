"""The official library, pointed at our server instead of pusher.com."""

from dataclasses import replace
from typing import Any

import pusher  # type: ignore[import-untyped]  # the library ships no types
from faults import OLD_SECRET
from settings import Settings

#: Seconds that a publication may take; the PHP library's 30 would hold up everything behind it.
PUBLISH_TIMEOUT = 5


def pusher_client(settings: Settings) -> Any:
    """The client that signs subscriptions while a request is served."""
    return pusher.Pusher(
        app_id=settings.app_id,
        key=settings.key,
        secret=settings.secret,
        encryption_master_key_base64=settings.encryption_key or None,
        host=settings.pusher_host,
        port=settings.pusher_port,
        ssl=settings.pusher_scheme == "https",
        timeout=PUBLISH_TIMEOUT,
    )


def worker_client(settings: Settings) -> Any:
    """The client of the queue's worker, None for one that only logs.

    A worker keeps the settings of its start, so a fault can give it others than the requests have.
    """
    if "silent-worker" in settings.faults:
        return None
    if "stale-worker" in settings.faults:
        return pusher_client(replace(settings, secret=OLD_SECRET))
    return pusher_client(settings)
