"""An outbox in a file of SQLite.

Read:

- `outbox`    the outbox, which calls `tables` in its thread
- `thread`    its thread; calls that come together are one transaction
- `file`      opens the file, and sets a broken one aside
- `schema`    the tables themselves, and the additions of later releases
- `tables`    the methods of the outbox in SQL
- `claims`    the workers that deliver apps, in SQL
- `attempts`  the delivery log in SQL
- `overflow`  selects the events to drop when too many wait, in SQL

May import: `errors`.
"""
