"""Rates per app: adapters that implement `interfaces.RateLimiter`.

Read:

- `local`   rates of each node alone
- `shared`  rates of all nodes together: each node has a share of the limit

May import: `app`, `interfaces`, `token_bucket`.
"""
