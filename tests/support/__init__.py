"""What tests of several tiers share.

Waiting and time: `waiting` (for a condition, with a deadline), `fakes` (clock, queue, connection, transport).
The real parts: `node` (one node with fake clients), `inprocess` (the whole server in the test's own loop).
Processes: `serving` (a server), `team` (with workers), `processes` (on TLS or a Unix socket), `redis_servers`,
`redis_topologies`, `redis_users` (with the documented rights), `databases`, `app_tables` (a table of apps in
one of them).
On the wire: `frames` (of WebSocket), `wire` (a client byte by byte), `signing`, `signed` (requests to the API),
`webhook_target`, `link_proxy` (cuts or swallows).
Files that other programs read: `containers` (Containerfile, compose.yaml, manifests of Kubernetes),
`laravel_folder` (a Laravel project).

No test is in here, and nothing here imports from a tier.
"""
