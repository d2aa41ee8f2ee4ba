"""Who may do what, by signature: HMAC-SHA256 over plain values (docs/protocol/signatures.md).

- `signatures`  making and comparing a signature
- `channels`    the `auth` of a subscription
- `users`       the `auth` of a sign-in
- `query`       the parameters of an HTTP API call, and the text that is signed for them
- `requests`    the signature of an HTTP API call
- `webhooks`    the headers that prove a webhook's body

Pure: neither clock nor network; `now` and everything looked up are arguments.
"""
