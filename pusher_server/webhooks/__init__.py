"""Webhooks: HTTP requests with events to the app's owner, retried until they are accepted or too old.

See docs/protocol/webhooks.md. An event goes through three stages: intake, outbox, delivery. Read:

- `runtime`    builds the parts and starts them when they are first needed
- `events`     signals as webhook events, and events as bodies (pure)
- `selection`  selects the webhooks for a signal, and the change of presence to remember (pure)
- `intake`     moves events from signals to the outbox; holds them in memory until it has stored them
- `reconcile`  after a crash: announces channels and members that have not come back as gone
- `outbox`     stores events until they are delivered
- `delivery`   sends them
- `send_test`  sends a test request, for the command line

May import: `app`, `auth`, `backoff`, `config`, `errors`, `histogram`, `interfaces`, `log_rate_limit`,
`outage`, `protocol`, `redis`, `resolving`, `signals`.
"""
