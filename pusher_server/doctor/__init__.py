"""Looks at a set-up from outside, as clients and a backend see it: the checks of `pusher-server doctor`.

A check is a function that returns a `Result`: ✓, ✗ or `?` with one sentence and the fix. The network and the
clocks come in as arguments. Read:

- `causes`              all causes by name: sentence, fix, page
- `connection_causes`   those between a client and the server
- `backend_causes`      those between a backend and the server
- `laravel_causes`      those in a Laravel project
- `steps`               in which order to look when nothing arrives, for docs/deployment.md
- `results`             a check's result; the mask over values that nobody may read
- `targets`             the addresses that are checked, and their names in sentences
- `credentials`         an app's id, key and secret, which no output has

The network:

- `network`             streams and HTTP requests with time limits; each fault is a `Trouble`
- `client`              one WebSocket upgrade, and what follows it
- `ports`               name, ports, TLS and certificate
- `connecting`          the upgrade through proxies, path, key, origin
- `idle`                how long a silent connection lives
- `api`                 clock, credentials, a publication and its event
- `auth_route`          the preflight of the backend's auth route
- `operations`          release, files and known faults, over the operations listener

A Laravel project:

- `project`             reads its files as text
- `broadcasting`        the connection that it broadcasts over
- `laravel`             the checks of its backend
- `laravel_pages`       the checks of its pages' variables

A run:

- `plans`               what to check, from options, files and variables
- `examination`         runs the checks in order and side by side

May import: `app`, `auth`, `config`, `diagnosis`, `errors`, `migration`, `nesting`, `protocol`, `resolving`,
`webhooks`.
"""
