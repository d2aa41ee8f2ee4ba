"""Logs webhooks for operators: when one begins to fail, when it works again, and events that were given up.

A dead target is tried thousands of times and logged once. No line shows the secret parts of a URL.
"""

import logging
from collections.abc import Callable

from pusher_server.app import Webhook
from pusher_server.log_rate_limit import KEPT, LogRateLimit, repeated

logger = logging.getLogger("pusher_server.webhooks")


class TargetLog:
    """`clock` gives seconds that only rise. Webhooks are named by app and `Webhook.id`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: Webhooks that were logged as failing, with the number of their failed attempts since then.
        self._failing: dict[tuple[str, str], int] = {}
        #: Limits the lines of each webhook and kind.
        self._limit = LogRateLimit()

    def failed(self, app_id: str, webhook: Webhook, why: str) -> None:
        """Log a failed attempt, unless the webhook is already logged as failing."""
        place = (app_id, webhook.id)
        if place in self._failing:
            self._failing[place] += 1
            return
        if self._limit.due((*place, "failing"), self._clock()):
            if len(self._failing) >= KEPT:
                self._failing.clear()
            self._failing[place] = 1
            logger.warning(
                "a webhook does not take its events (%s); they wait and are sent again",
                why,
                extra={"app": app_id, "url": webhook.shown_url, "see": "docs/webhooks.md#delivery"},
            )

    def delivered(self, app_id: str, webhook: Webhook) -> None:
        """Log that a failing webhook works again."""
        failed = self._failing.pop((app_id, webhook.id), 0) if self._failing else 0
        if failed:
            logger.info(
                "a webhook takes its events again",
                extra={"app": app_id, "url": webhook.shown_url, "failed_attempts": failed},
            )

    def claim_lost(self, app_id: str) -> None:
        """Log a claim that was not renewed in time; while the outbox is away, this happens to all apps."""
        claims = self._limit.due("claim", self._clock())
        if claims:
            logger.warning(
                "a claim on webhooks was not renewed in time; another process may go on with them",
                extra={"app": app_id} | repeated(claims),
            )

    def buried(self, app_id: str, webhook: Webhook, events: int, why: str) -> None:
        """Log events that were given up after all attempts."""
        counted = self._limit.due((app_id, webhook.id, "dead"), self._clock(), events)
        if counted:
            logger.error(
                "webhook events were given up (%s); `pusher-server webhooks dead` lists them",
                why,
                extra={
                    "app": app_id,
                    "url": webhook.shown_url,
                    "events": counted,
                    "see": "docs/webhooks.md#dead-letters",
                },
            )

    def unwanted(self, app_id: str, webhook_id: str, events: int, why: str) -> None:
        """Log events that were dropped because their webhook is gone."""
        counted = self._limit.due((app_id, webhook_id, "unwanted"), self._clock(), events)
        if counted:
            logger.warning(
                "webhook events are not sent: %s",
                why,
                extra={"app": app_id, "webhook": webhook_id, "events": counted},
            )
