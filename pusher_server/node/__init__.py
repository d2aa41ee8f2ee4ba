"""The application: hub, broker, roster and the protocol's rules as the edges use them. One node is one process.

Every verb that a client or a backend can cause is here. Read:

- `parts`          the parts that a node is built from, as one value
- `observers`      delivers signals to their observers
- `node`           builds the parts below, receives from the cluster, admits connections
- `publishing`     events of backends and of clients
- `subscriptions`  subscribe, unsubscribe, presence
- `users`          sign-in, watchlist, terminate
- `bus`            brings a channel what other nodes publish on it
- `occupancy`      declares this node's occupied channels to the cluster
- `counts`         the `subscription_count` event, and its pace in crowds
- `inspection`     read-only questions, answered for the whole cluster
- `diagnosing`     looks up what nobody received, and reports the evidence of this process
- `operator_questions`  answers operators, for this node and for the cluster
- `inventory`       channels and connections for operators, and their orders
- `explaining`     answers for the whole cluster why nothing arrives
- `cluster_questions`  questions to all other nodes, and their answers
- `member_infos`   checks that member data from the cluster is JSON that clients can read
- `refusal_log`    a log line about refused subscriptions, at a limited rate

May import: `app`, `auth`, `diagnosis`, `errors`, `hub`, `interfaces`, `log_rate_limit`, `protocol`, `signals`,
`unreadable`.
"""
