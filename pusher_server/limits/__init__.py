"""Rate limits per app: adapters that implement `interfaces.RateLimiter`.

Read:

- `local`   limits that each node applies alone
- `shared`  limits for all nodes together: each node has a share

May import: `app`, `interfaces`, `token_bucket`.
"""
