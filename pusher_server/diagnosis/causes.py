"""The causes that the rules know, as data: title, sentence, fix, and the page that has more.

`docs/troubleshooting.md` lists them in this order, and a test compares the two. `sentence` and `fix` are
templates; the rule that finds a cause fills them in. Names in them are `printable` already.
"""

from msgspec import Struct

PAGE = "docs/troubleshooting.md"
_NAMES = f"{PAGE}#names-that-differ"
_EVENTS = f"{PAGE}#names-of-events"
_SUBSCRIPTIONS = f"{PAGE}#subscriptions-and-messages"
_BACKENDS = f"{PAGE}#backends"
_CLIENTS = f"{PAGE}#clients"
_SILENCE = f"{PAGE}#silence"


class Cause(Struct, frozen=True):
    """One way to receive nothing.

    `is_fault`: a setting is wrong. Else something is only worth a look, and no log line is written.
    """

    name: str
    title: str
    sentence: str
    fix: str
    link: str
    is_fault: bool = True


_ALL = (
    # An event that nobody received, while others wait on a name that is nearly the same.
    Cause(
        "event_prefix",
        "The event goes to a channel with another prefix",
        "{event} went to {channel}; {waiting}: the event uses {wrong} where {right} is meant.",
        "Let broadcastOn() return new {made}.",
        _NAMES,
    ),
    Cause(
        "client_prefix",
        "The client waits on a channel with another prefix",
        "{event} went to {channel}; {waiting}: the client uses {wrong} where {right} is meant.",
        "Let the client call {made}.",
        _NAMES,
    ),
    Cause(
        "event_prefix_twice",
        "The event's channel has its prefix twice",
        "{event} went to {channel}; {waiting}: the prefix is written out, and {right} adds it again.",
        "Let broadcastOn() return new {made}.",
        _NAMES,
    ),
    Cause(
        "client_prefix_twice",
        "The client's channel has its prefix twice",
        "{event} went to {channel}; {waiting}: the prefix is written out, and {right} adds it again.",
        "Let the client call {made}.",
        _NAMES,
    ),
    Cause(
        "capitals",
        "The two names of a channel differ in capitals",
        "{event} went to {channel}; {waiting}: the names differ in capitals.",
        "Write the name alike in the backend and in the client.",
        _NAMES,
    ),
    Cause(
        "separators",
        "The two names of a channel differ in a separator",
        "{event} went to {channel}; {waiting}: the names differ in a separator (`.`, `-`, `:` or `_`).",
        "Write the name alike in the backend and in the client.",
        _NAMES,
    ),
    # The name of an event, which clients compare by themselves.
    Cause(
        "event_dot",
        "The event's name begins with a dot or a backslash",
        "The event on {channel} is called {event}: it begins with a dot or a backslash, which Echo takes off.",
        "Let broadcastAs() return '{name}'; the dot belongs into {listen}.",
        _EVENTS,
    ),
    Cause(
        "event_escaped",
        "The event's name has two backslashes in a row",
        "The event on {channel} is called {event}: its backslashes were escaped twice.",
        "Send the name as '{name}', and listen with {listen}.",
        _EVENTS,
    ),
    Cause(
        "event_blank",
        "The event's name begins or ends with a blank",
        "The event on {channel} is called {event}, with a blank at its begin or end.",
        "Send the name as '{name}', and listen with {listen}.",
        _EVENTS,
    ),
    # A signature over another text.
    Cause(
        "signed_socket",
        "Another connection was signed",
        "{refused}: the signature is for socket_id {other}, which this client had before.",
        "Let the client ask the backend again for each connection: nothing may keep the auth route's answer.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_key",
        "The secret of another key was used",
        "{refused}: it names the key {key}, and is signed with the secret of the app's key {other}.",
        "Let the backend's PUSHER_APP_KEY and PUSHER_APP_SECRET be of one pair.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_secret",
        "The backend's secret has a blank or a quotation mark too many",
        "{refused}: it is signed with this app's secret and {other}.",
        "Write PUSHER_APP_SECRET without it, run `php artisan config:clear`, and restart the worker.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_with_key",
        "The key was used as the secret",
        "{refused}: it is signed with the app's key in place of its secret.",
        "Set PUSHER_APP_SECRET of the backend to the secret.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_channel",
        "Another channel was signed",
        "{refused}: the backend signed {other}.",
        "Let the auth route sign channel_name as the client sends it, with its prefix.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_without_data",
        "channel_data was not signed",
        "{refused}: the backend signed it without channel_data.",
        "Let the auth route sign what it answers: Broadcast::auth() of Laravel does, with an array from"
        " routes/channels.php.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_data",
        "channel_data was changed after it was signed",
        "{refused}: {other}.",
        "Pass channel_data on as the text that was signed, and do not encode it again.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_otherwise",
        "The signature fits no text that we could guess",
        "{refused}: the secret differs, or another text was signed.",
        "Compare PUSHER_APP_SECRET of the backend with this app's, and restart what has read the old one.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "signed_path",
        "Another path was signed",
        "{refused}: the backend signed the path {other}.",
        "Let the proxy pass the path on as it comes, or set server.path_prefix to what it takes off or adds.",
        _BACKENDS,
    ),
    Cause(
        "signed_method",
        "Another method was signed",
        "{refused}: the backend signed {other}, so a redirect or a proxy has changed the method.",
        "Let the backend use the final scheme, host and port: a redirect of http to https turns POST into GET.",
        _BACKENDS,
    ),
    Cause(
        "signed_query",
        "The query was changed after it was signed",
        "{refused}: {other}.",
        "Let the proxy pass the query on as it comes.",
        _BACKENDS,
    ),
    # Refusals whose line in the log says all there is to say.
    Cause(
        "subscription_refused",
        "A subscription is refused",
        "{refused}: {reason}.",
        "The sentence names the setting; the page has a row for each line.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "sign_in_refused",
        "A sign-in is refused",
        "{refused}: {reason}.",
        "The sentence names the setting; the page has a row for each line.",
        _CLIENTS,
    ),
    Cause(
        "connection_refused",
        "A connection is refused",
        "{refused}: {reason}.",
        "The sentence names the setting; the page has a row for each line.",
        _CLIENTS,
    ),
    Cause(
        "message_refused",
        "A client's message is refused",
        "{refused}: {reason}.",
        "The sentence names the setting; the page has a row for each line.",
        _SUBSCRIPTIONS,
    ),
    Cause(
        "request_refused",
        "A request of the backend is refused",
        "{refused}: {reason}.",
        "The sentence names the setting; the page has a row for each line.",
        _BACKENDS,
    ),
    # Clients that never get in, or do not stay.
    Cause(
        "wrong_protocol",
        "Something speaks another protocol, or a proxy drops Upgrade",
        "{refused}: {reason}.",
        "The sentence names the setting of the client or the proxy.",
        "docs/deployment.md#requests-that-come-wrong",
    ),
    Cause(
        "reconnect_loop",
        "A client comes again and again",
        "A client at {address} has connected {times} in the last {minutes}, each time for {lived}{ended}.",
        "Look at that client's console: an error ends the connection, or the client closes it by itself.",
        _CLIENTS,
    ),
    Cause(
        "idle_cut",
        "A proxy cuts idle connections",
        "{cut} were cut after {idle} without a byte: something on the way cuts after {idle}.",
        "Raise the idle timeout of the proxy (nginx: proxy_read_timeout) above the app's activity_timeout, or"
        " lower activity_timeout below {idle}.",
        "docs/deployment.md#behind-nginx",
    ),
    # Nothing happens at all.
    Cause(
        "nothing_published",
        "Clients are there, and nobody publishes",
        "{clients} of app {app} are there, the first for {age}, and no publication has come since the server"
        " started {up} ago.",
        "Is a queue worker running (php artisan queue:work)? Is BROADCAST_CONNECTION=pusher, not log or null?"
        " From the machine or container of the worker, does `curl {url}/up` answer?",
        _SILENCE,
        is_fault=False,
    ),
    Cause(
        "nobody_subscribes",
        "Clients are there, and none has ever subscribed",
        "{clients} of app {app} are there, the first for {age}, and none has subscribed to anything since the"
        " server started; {event} went to {channel} meanwhile.",
        "A 403, 404 or 419 of the backend's auth route (/broadcasting/auth) never reaches this server: look at"
        " the browser's network tab.",
        _SILENCE,
        is_fault=False,
    ),
    Cause(
        "apps_crossed",
        "Backend and clients use two different apps",
        "{event} went to {channel} of app {app}, which never had a client; {waiting} of app {other}, to which"
        " nobody has published.",
        "Let the backend's PUSHER_APP_ID and the client's key be of the same app.",
        _SILENCE,
        is_fault=False,
    ),
)

#: By name, in the order of the page.
CAUSES = {cause.name: cause for cause in _ALL}
