"""Apps from a table of SQLite, PostgreSQL, MySQL or MariaDB. Everything here needs the extra `sql`.

Read:

- `runtime`         builds and runs the parts of a server: table, cache and change watcher
- `cache`           caches apps of a slower store, and bounds the cost of unknown keys
- `table`           rows of an SQL table as apps
- `schemas`         the setting for each column, in three presets (pure)
- `columns`         converts a column's value to a setting and back (pure)
- `webhook_column`  the JSON of the column `webhooks`, and the reasons for refusing it (pure)
- `changes`         detects changes in the table: polling, or PostgreSQL's notifications
- `url`             opens the database that a `[database]` URL names
- `editing`         our table, its trigger and changed rows, for the command line

May import: `app`, `backoff`, `config`, `errors`, `interfaces`, `outage`.
"""
