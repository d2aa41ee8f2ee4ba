"""The Pusher Channels protocol, version 7, as pure functions and values: no sockets, no clock, no loop.

A tour, in the order in which a connection meets it:

- `session`       what one connection owes and is owed: deadlines, liveness, client-event rate
- `messages`      what a client says, decoded
- `channel_name`  the grammar, and what kind of channel a name means
- `members`       who somebody is: `channel_data`, `user_data`
- `events`        what we say, encoded
- `text`          strict JSON: stringified data, exact numbers
- `frames`        the RFC 6455 bytes around a payload
- `errors`        every refusal with its code; the ranges that tell clients whether to come back

It knows neither apps' signatures (`pusher_server.auth`) nor who is connected (`pusher_server.hub`).
"""
