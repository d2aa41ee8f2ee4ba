"""What the edges call: hub + broker + roster + the protocol's rules. One node is one process.

- `node`          builds the parts, receives from the cluster, emits signals
- `subscriptions` subscribe, unsubscribe, presence
- `publishing`    events of the backend and of clients
- `users`         sign-in, watchlist, terminate
- `inspection`    read-only questions, answered for the whole cluster
- `counts`        the `subscription_count` event
"""
