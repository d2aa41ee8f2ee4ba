"""All connections, channels and signed-in users of this node. Synchronous, no I/O, no clock.

The hub is the only truth about its own connections (ARCHITECTURE.md#invariants). Two rules hold everywhere:
nothing reachable from a connection's `write` may change the hub, and no step of the fan-out waits. Read:

- `hub`         the verbs; each returns what changed on this node
- `app_state`   the connections, channels and users of one app, and the app's current value
- `channel`     the subscribers of one channel, the pending ones, and the frames that they are owed
- `batch`       frames on their way to subscribers: joins, exceptions, rounds
- `fanout`      the one way out: one flush per loop turn, in chunks, round robin
- `members`     this node's replica of one presence channel's members
- `users`       signed-in users, their connections and their watchers
- `traffic`     counters of messages and bytes, for metrics
- `connection`  a client, as the hub and the node see it

May import: `app`, `histogram`, `interfaces`, `protocol`.
"""
