"""A store in memory: for the bus of a machine's workers, and as the model of the Lua scripts in tests.

Read:

- `store`          every command of a store
- `announcements`  joins and leaves that it still has to hand out for webhooks
- `scans`          its answers that come page by page

May import: `errors`, `interfaces`.
"""
