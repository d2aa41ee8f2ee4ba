"""The settings: one frozen tree, read once from file, environment and command line.

`settings` is the tree (its documentation is `config.example.toml`), `loading` reads the sources in
order, `apps` makes the `[[apps]]` tables into values, `problems` turns what is wrong into one line.
"""

from pusher_server.config.apps import PublishedCredentials
from pusher_server.config.loading import example_text, load, published_secrets
from pusher_server.config.settings import (
    ClusterSettings,
    Config,
    DatabaseSettings,
    HttpSettings,
    LogSettings,
    OperationsSettings,
    ServerSettings,
    TlsSettings,
    WebhookSettings,
    WebsocketSettings,
)

__all__ = [
    "ClusterSettings",
    "Config",
    "DatabaseSettings",
    "HttpSettings",
    "LogSettings",
    "OperationsSettings",
    "PublishedCredentials",
    "ServerSettings",
    "TlsSettings",
    "WebhookSettings",
    "WebsocketSettings",
    "example_text",
    "load",
    "published_secrets",
]
