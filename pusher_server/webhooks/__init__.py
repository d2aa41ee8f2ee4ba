"""Webhooks: what happened, told to the app's owner, however often it takes (docs/protocol/webhooks.md)."""
