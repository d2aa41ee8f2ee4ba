"""Sources of apps: adapters that implement `interfaces.AppProvider`.

Read:

- `static`    apps from the configuration file
- `database`  apps from a table in a database

May import: `app`, `backoff`, `config`, `errors`, `interfaces`, `outage`.
"""
