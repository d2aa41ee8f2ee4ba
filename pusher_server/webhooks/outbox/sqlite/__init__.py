"""An outbox in a file of SQLite.

Read:

- `outbox`    the outbox: what it can do, over its thread
- `thread`    its thread; requests that come together are one transaction
- `file`      opens the file, and sets a broken one aside
- `schema`    the tables themselves, and what releases have added to them
- `tables`    the verbs of the outbox in SQL
- `claims`    who delivers an app, in SQL
- `attempts`  the delivery log in SQL
- `overflow`  which events are dropped when too many wait, in SQL

May import: `errors`.
"""
