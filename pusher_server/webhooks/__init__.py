"""Webhooks: what happened, told to the app's owner, however often it takes (docs/protocol/webhooks.md).

An event goes through three stations: intake, outbox, delivery. Read:

- `runtime`    builds the parts and starts them when they are first needed
- `events`     signals as webhook events, and events as bodies (pure)
- `selection`  which webhooks of an app want a signal, and what is remembered of it (pure)
- `intake`     from signals to kept events; holds them in memory until they are kept
- `reconcile`  after a crash: announces as gone what has not come back
- `outbox`     keeps events until they are delivered
- `delivery`   sends them
- `send_test`  a test request, for the command line

May import: `app`, `auth`, `backoff`, `config`, `errors`, `histogram`, `interfaces`, `log_rate_limit`,
`outage`, `protocol`, `redis`, `resolving`, `signals`.
"""
