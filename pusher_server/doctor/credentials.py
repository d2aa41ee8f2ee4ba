"""The app's id, key and secret that the signed checks use; no output has them."""

from msgspec import Struct

from pusher_server.app import App


class Credentials(Struct, frozen=True):
    """An app's credentials, "" where one is not known; `app` is the whole app where a config file has it."""

    app_id: str = ""
    key: str = ""
    secret: str = ""
    app: App | None = None

    @property
    def is_complete(self) -> bool:
        """Whether requests can be signed."""
        return bool(self.app_id and self.key and self.secret)

    def __repr__(self) -> str:
        return "Credentials(***)"


def of_app(app: App) -> Credentials:
    """Return the newest credentials of an app."""
    pair = app.keys[0]
    return Credentials(app.id, pair.key, pair.secret, app)


#: Events that a channel without a prefix sends for a connection that comes and goes.
_FIRED = ("channel_occupied", "channel_vacated", "subscription_count")


def fired_webhooks(credentials: Credentials, channel: str) -> str:
    """Return the sentence about the webhooks that a publication to the channel fires, with a subscriber."""
    app = credentials.app
    if app is None:
        return (
            "where the app has webhooks for channel_occupied, channel_vacated or subscription_count,"
            " they are sent"
        )
    fired = [
        name
        for name in _FIRED
        if any(
            (not webhook.event_types or name in webhook.event_types)
            and channel.startswith(webhook.filter.channel_name_starts_with)
            and channel.endswith(webhook.filter.channel_name_ends_with)
            for webhook in app.webhooks
        )
    ]
    if not fired:
        return "the app has no webhook for it"
    return f"the app's webhooks for {' and '.join(fired)} are sent"
