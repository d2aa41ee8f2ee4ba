"""Keeps webhook events until they are delivered: in a file, or in the cluster's Redis.

Read:

- `interface`  what every outbox can do, and the values it keeps
- `encoding`   entries and attempts as they are written down
- `undoing`    which waiting events cancel each other (pure)
- `overflow`   which events are dropped when too many wait, and the log line about it
- `opening`    chooses the outbox: in the cluster's Redis or in a file
- `path`       the path of that file
- `sqlite`     an outbox in a file
- `redis`      an outbox in the cluster's Redis

May import: `config`, `errors`, `log_rate_limit`, `redis`.
"""
