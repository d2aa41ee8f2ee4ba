"""Sends what the outbox keeps: in order, in batches, again and again until it is taken.

Read:

- `deliverer`        claims apps that have waiting events
- `app_delivery`     the waiting events of one claimed app, sorted by webhook
- `target_queue`     order, attempts and batches of one webhook (pure)
- `slots`            shares the open requests between apps
- `attempt`          one attempt, from its addressee to its result
- `requests`         the body and headers of a request (pure)
- `sending`          the interface to HTTP
- `sender`           sends requests with httpx
- `connecting`       connects to addresses that were checked, never to names
- `denied_networks`  the addresses that tenants' webhooks may not reach (pure)
- `outcomes`         the results of attempts, on their way into the outbox
- `target_log`       what operators read about a failing webhook
- `stats`            counters for metrics

May import: `app`, `auth`, `backoff`, `config`, `errors`, `histogram`, `interfaces`, `log_rate_limit`,
`outage`, `resolving`.
"""
