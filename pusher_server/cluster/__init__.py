"""How nodes reach each other: adapters that implement `interfaces.Broker`, `Roster` and `Census`.

One process needs only `local` and `last_events`. Several share stores. Read first what a store is:

- `local`               broker and roster of a single node
- `last_events`         the last events of cache channels in one process, bounded in bytes per app
- `commands`            the commands that nodes send to a store
- `links`               the interface to a store: one ordered connection
- `wire`                the versioned bytes between nodes

Then the side of the node:

- `sharding`            which topic lives in which store
- `membership`          this node's membership of one store: its lease, and the recovery from every failure
- `membership_log`      its log lines for operators
- `held_keys`           the keys that this node holds there, declared again after a loss
- `followed_topics`     the topics that this node follows: transitions in order, snapshots after a gap
- `replica`             judges a transition of one followed topic: next, old, or proof of a gap
- `link_subscriptions`  the addresses that a link pushes; unsubscribed late
- `roster`              the roster over shared stores
- `broker`              the broker over shared stores
- `census`              the connections of each app on other nodes

Then the stores:

- `memory`              the rules of a store, in memory
- `unix`                the store of one machine's workers
- `redis`               a store on Redis

May import: `backoff`, `config`, `errors`, `interfaces`, `log_rate_limit`, `outage`, `redis`,
`unreadable`.
"""
