"""Sends the events of the outbox: in order, in batches, with retries until the target accepts them.

Read:

- `deliverer`        claims apps that have waiting events
- `app_delivery`     the waiting events of one claimed app, sorted by webhook
- `target_queue`     order, attempts and batches of one webhook (pure)
- `slots`            shares the open requests between apps
- `attempt`          one attempt to deliver a batch, from the look-up of its webhook to the result
- `requests`         the body and headers of a request (pure)
- `sending`          the interface to HTTP
- `sender`           sends requests with httpx
- `connecting`       connects to checked addresses, never to names
- `denied_networks`  the addresses that tenants' webhooks may not reach (pure)
- `outcomes`         writes the results of attempts to the outbox
- `target_log`       writes the log lines about failing webhooks
- `stats`            counters for metrics

May import: `app`, `auth`, `backoff`, `config`, `errors`, `histogram`, `interfaces`, `log_rate_limit`,
`outage`, `resolving`.
"""
