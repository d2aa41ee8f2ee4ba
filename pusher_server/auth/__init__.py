"""Checks and makes signatures: HMAC-SHA256 over plain values (docs/protocol/signatures.md).

Pure: it has neither a clock nor a network. `now` and everything looked up are arguments. Read:

- `signatures`  makes a signature, and compares two in constant time
- `channels`    the `auth` of a subscription
- `users`       the `auth` of a sign-in
- `query`       the parameters of an API request, and the text that is signed for them
- `requests`    the signature of an API request: first its query, later its body's digest
- `webhooks`    the headers that prove a webhook's body

May import: `app`, `errors`.
"""
