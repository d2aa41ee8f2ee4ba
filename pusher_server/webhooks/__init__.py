"""Webhooks: what happened, told to the app's owner, however often it takes (docs/protocol/webhooks.md).

An event goes through three stations: intake, outbox, delivery. Read first how an event is decided:

- `live`             builds the parts and starts them when they are first needed
- `payloads`         signals as webhook events, and events as bodies (pure)
- `deciding`         which webhooks of an app want a signal, and what is remembered of it (pure)
- `intake`           from signals to kept events; holds them in memory until they are kept
- `missing`          after a crash: announces as gone what has not come back

Then the outbox, which keeps events until they are delivered:

- `outbox`           the interface of every outbox
- `encoding`         entries and attempts as they are written down
- `undoing`          which waiting events cancel each other (pure)
- `crowding`         which events are dropped when too many wait, and the log line about it
- `opening`          chooses the outbox: in the cluster's Redis or in a file
- `place`            the path of that file
- `sqlite_outbox`    an outbox in a file
- `sqlite_thread`    its thread; requests that come together are one transaction
- `sqlite_file`      opens the file, and sets a broken one aside
- `sqlite_tables`    the verbs of the outbox in SQL
- `sqlite_crowding`  the rule of `crowding` in SQL
- `redis_outbox`     an outbox in the cluster's Redis
- `redis_scripts`    its Lua scripts, from `lua/`
- `redis_client`     makes redis-py's client from `[cluster.redis]`

Then delivery:

- `delivery`         claims apps that have waiting events
- `lane`             the waiting events of one claimed app, sorted by webhook
- `target_queue`     order, attempts and batches of one webhook (pure)
- `slots`            shares the open requests between apps
- `flight`           one attempt, from its addressee to its result
- `requests`         the body and headers of a request (pure)
- `sending`          the interface to HTTP
- `sender`           sends requests with httpx
- `connecting`       connects to addresses that were checked, never to names
- `denied_networks`  the addresses that tenants' webhooks may not reach (pure)
- `ledger`           the results of attempts, on their way into the outbox
- `target_log`       what operators read about a failing webhook
- `numbers`          counters for metrics
- `trying`           a test request, for the command line

May import: `app`, `auth`, `config`, `errors`, `histogram`, `interfaces`, `protocol`, `resolving`, `signals`.
"""
