"""Stores webhook events until they are delivered: in a file, or in the cluster's Redis.

Read:

- `interface`  the methods of every outbox, and the values it stores
- `encoding`   entries and attempts as JSON
- `undoing`    finds waiting events that cancel each other (pure)
- `overflow`   selects the events to drop when too many wait, and logs it
- `opening`    chooses the outbox: in the cluster's Redis or in a file
- `path`       the path of that file
- `sqlite`     an outbox in a file
- `redis`      an outbox in the cluster's Redis

May import: `config`, `errors`, `log_rate_limit`, `nesting`, `redis`.
"""
