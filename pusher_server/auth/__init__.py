"""Who may do what, by signature: HMAC-SHA256 over plain values (PROTOCOL §4).

- `signatures`  making and comparing a signature
- `channels`    the `auth` of a subscription
- `users`       the `auth` of a sign-in
- `requests`    the signed query of an HTTP API call

Pure: neither clock nor network; `now` and everything looked up are arguments.
"""
