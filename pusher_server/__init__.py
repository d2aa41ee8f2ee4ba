"""A self-hosted broadcast server that speaks the Pusher Channels protocol.

ARCHITECTURE.md shows how the packages work together. Each package begins with a tour of its modules.
Read from the lowest layer to the highest one. A module imports layers that stand above it in this list.

Values, and small pieces that know nothing of the rest:

- `app`               an app with its keys, limits and webhooks, as frozen values
- `backoff`           how long to wait before the next attempt
- `errors`            the root of all errors, and the errors that belong to no single layer
- `histogram`         counts values by their size
- `log_rate_limit`    limits how often the same log line is written
- `nesting`           bounds how deeply JSON that comes in may be nested
- `outage`            keeps why a part does not work, and decides which changes of that are logged
- `standard_streams`  survives a standard output or error that cannot be written
- `stray_signals`     ignores the signals that mean nothing to a server
- `token_bucket`      bounds a rate and allows short bursts
- `turns`             bounds how much input of one connection is served in one turn of the loop
- `unreadable`        reports data of other writers that cannot be read, at a limited rate

Rules of the wire, without a clock and without a network:

- `protocol`          the Pusher Channels protocol: names, messages, events, frames, errors
- `auth`              signatures of subscriptions, sign-ins, API requests and webhooks
- `config`            the settings, read once from file, environment and command line
- `resolving`         looks up host names on its own threads, with bounds; it does I/O

Shared by two adapters, `cluster` and `webhooks`:

- `redis`             reaches Redis: login, TLS, discovery, scripts

For the command line alone:

- `migration`         imports the configuration of another server

The domain and the application:

- `signals`           events of the node, as values for observers
- `diagnosis`         evidence of what does not arrive, and rules that explain it; pure
- `interfaces`        what the domain requires of adapters: broker, roster, apps, rate limits
- `hub`               the connections, channels and users of this node
- `node`              the rules: subscribe, publish, sign in, inspect

Adapters, which implement the interfaces:

- `apps`              apps from the file or from a database
- `cluster`           broker and roster for one process, for workers and for Redis
- `limits`            rates per app
- `webhooks`          keeps events for an app's owner and delivers them
- `logs`              the log handler, for people or as JSON

Parts that every client session needs, over any transport:

- `clients`           messages in order, answers, deadlines, slow readers

Edges, through which the outside drives or reads the node:

- `websocket`         clients over WebSocket
- `http_api`          backends
- `metrics`           operators

The process:

- `server`            builds everything and runs it
- `processes`         several server processes on one machine, under a supervisor
- `doctor`            looks at a set-up from outside, as clients and a backend see it
- `cli`               the command `pusher-server`
- `__main__`          the same command as `python -m pusher_server`
"""

__version__ = "0.1.0"
