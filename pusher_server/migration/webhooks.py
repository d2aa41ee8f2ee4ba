"""Webhooks of another server, checked as ours are."""

from collections.abc import Mapping

from pusher_server.config.apps import check_webhook
from pusher_server.errors import ConfigError


def problem_of(webhook: Mapping[str, object]) -> str | None:
    """The problem of a table that is to be one of `[[apps.webhooks]]`, in words; None for a good one."""
    try:
        check_webhook(dict(webhook), "webhook")
    except ConfigError as error:
        setting = error.setting.removeprefix("webhook").removeprefix(".")
        is_named = not setting or error.problem.startswith(f"{setting} ")
        return error.problem if is_named else f"{setting}: {error.problem}"
    return None
