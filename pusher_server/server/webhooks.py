"""Wires webhooks to the node: they observe its signals, and begin when they are needed."""

import os

from pusher_server.app import App
from pusher_server.config import Config
from pusher_server.interfaces import AppProvider
from pusher_server.node.parts import NodeParts
from pusher_server.webhooks.delivery.target_queue import Pace
from pusher_server.webhooks.events import WEBHOOK_SIGNALS
from pusher_server.webhooks.outbox.opening import opening
from pusher_server.webhooks.outbox.path import outbox_path
from pusher_server.webhooks.runtime import DeliverySettings, Webhooks


def observing(config: Config, parts: NodeParts, apps: AppProvider, owner: str) -> Webhooks:
    """Return webhooks that observe the node of these parts. Nothing is opened.

    `owner` names this server on its machine, the same in all its processes.
    """

    def in_use(app_id: str) -> App | None:
        app_state = parts.hub.app_states.get(app_id)
        return None if app_state is None else app_state.app

    webhooks = Webhooks(
        opening(
            outbox_path(config.webhooks, config.server, os.environ),
            config.cluster.redis,
            config.webhooks,
            owner,
        ),
        DeliverySettings(
            timeout=config.webhooks.timeout,
            denied=config.denied_to_webhooks,
            batch_events=config.webhooks.batch_events,
            batch_window=config.webhooks.batch_window,
            pace=Pace(
                first=config.webhooks.retry_first,
                longest=config.webhooks.retry_longest,
                good_for=config.webhooks.retry_for,
            ),
            lease=config.cluster.lease,
            undo_window=config.cluster.undo_window,
        ),
        current=in_use,
        apps=apps,
        roster=parts.roster,
        worker=parts.node_id,
    )
    parts.observers.observe(webhooks.observe, *WEBHOOK_SIGNALS)
    return webhooks


def are_expected(config: Config) -> bool:
    """Whether an app of the file has webhooks; apps of a database are known when they are used.

    But in Redis, nodes that are gone may have left events of apps that are not in use at the moment.
    """
    of_database = bool(config.database.url) and config.cluster.redis.is_set
    return of_database or any(app.webhooks for app in config.apps)
