"""Where apps come from: adapters that implement `interfaces.AppProvider`.

Read:

- `static`          apps from the configuration file
- `live`            runs apps from a database: store, cache and change notices together
- `cached`          remembers apps of a slower store, and bounds what unknown keys cost
- `sql`             rows of an SQL table as apps
- `schemas`         which column means which setting, in three presets (pure)
- `columns`         converts a column's value to a setting and back (pure)
- `webhook_column`  the JSON of the column `webhooks`, and the reasons for refusing it (pure)
- `changes`         notices changes in the table: polling, or PostgreSQL's notifications
- `database`        opens the store of a `[database]` URL; needs the extra `sql`
- `editing`         our table, its trigger and changed rows, for the command line

May import: `app`, `config`, `errors`, `interfaces`.
"""
