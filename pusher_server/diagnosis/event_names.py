"""Writes the line with which Laravel Echo listens to an event, and knows names that no such line can reach.

Echo puts `App.Events.` before a name and makes every dot a backslash, unless the name begins with a dot or a
backslash. That first character is taken off (`EventFormatter` of laravel-echo).
"""

from pusher_server.diagnosis.channel_names import laravel

_NAMESPACE = "App\\Events\\"
_NOTIFICATION = "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated"
_WHISPER = "client-"


def listening(channel: str, event: str) -> str:
    """Return the line of JavaScript that receives this event of this channel."""
    written = laravel(channel)
    return f"{written.method}({_quoted(written.name)}){_method(event)}"


def _method(event: str) -> str:
    if event == _NOTIFICATION:
        return ".notification((notification) => …)"
    if event.startswith(_WHISPER):
        return f".listenForWhisper({_quoted(event.removeprefix(_WHISPER))}, (e) => …)"
    inside = event.removeprefix(_NAMESPACE)
    if inside != event and inside and "." not in inside and inside[0] != "\\":
        return f".listen({_quoted(inside.replace(chr(92), '.'))}, (e) => …)"
    return f".listen({_quoted('.' + event)}, (e) => …)"


def _quoted(text: str) -> str:
    """Return the text as a string of JavaScript."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def fault(event: str) -> str:
    """Return the name of the cause for which hardly anybody listens to this event; "" for none."""
    if event.strip() != event:
        return "event_blank"
    if event[:1] in (".", "\\"):
        return "event_dot"
    if "\\\\" in event:
        return "event_escaped"
    return ""


def repaired(event: str) -> str:
    """Return the name that was meant, where `fault` finds one."""
    text = event.strip()
    while "\\\\" in text:
        text = text.replace("\\\\", "\\")
    return text.lstrip(".\\")
