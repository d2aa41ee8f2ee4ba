"""The settings: one frozen tree, read once from file, environment and command line.

`config.example.toml` documents every field, and `docs/configuration.md` explains them. Read:

- `settings`  the tree: one struct per TOML table
- `loading`   merges defaults, file, environment and command line, in this order
- `environment`  reads `PUSHER_SERVER__…` variables
- `json_text`  reads JSON in variables and columns
- `apps`      turns `[[apps]]` over `[defaults]` into values; refuses published credentials
- `redis`     `[cluster.redis]` and its URL
- `risks`     settings that work and are risky, as lines for the start and `check-config`
- `problems`  words a wrong setting as one line that names it and the fix

May import: `app`, `errors`, `nesting`.
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
