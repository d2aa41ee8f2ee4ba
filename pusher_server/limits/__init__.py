"""Rates per app: adapters that implement `interfaces.RateLimiter`.

Read:

- `token_bucket`  the bucket: pure, `now` is an argument
- `local`         rates of each node alone
- `shared`        rates of all nodes together: each node has a share of the limit

May import: `app`, `interfaces`.
"""
