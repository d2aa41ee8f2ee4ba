"""The Pusher Channels protocol, version 7, as pure functions and values: no sockets, no clock, no loop.

It knows no app's secret (that is `auth`) and no connection (that is `hub`). Read in the order in which
a connection meets it:

- `client_path`   the path on which clients come
- `socket_id`     the shape of `123.456`, the name of a connection
- `liveness`      the timers of one connection: deadlines, pings, client-event rate
- `messages`      client → server: decodes bytes into one of six values
- `channel_name`  the grammar of a channel name, and the flags that its prefix means
- `encrypted`     the form of data on encrypted channels
- `members`       `channel_data` and `user_data`: the identity of a member or user
- `events`        server → client: one function per event, which returns JSON bytes
- `text`          strict JSON: UTF-8 and depth checked, numbers exact, data stringified
- `surrogates`    lone surrogates in JSON, which UTF-8 and msgspec cannot represent
- `frames`        the RFC 6455 bytes of text, ping, pong and close frames
- `errors`        every refusal with its code, and the tree of them

May import: `app`, `errors`, `token_bucket`.
"""
