"""The causes between a backend and the server, as data: clock, credentials, publication, auth route."""

from pusher_server.diagnosis.causes import Cause

_BACKENDS = "docs/troubleshooting.md#backends"
_SILENCE = "docs/troubleshooting.md#silence"
_FILES = "docs/deployment.md#file-limits-and-the-kernel"
_CHECKS = "docs/doctor.md#the-checks"

BACKEND = (
    Cause(
        "clock_off",
        "The clocks differ too much",
        "This machine's clock is {skew} {direction} the server's: signed requests are refused beyond 600 s.",
        "Switch NTP on, on both machines: `timedatectl set-ntp true`.",
        _BACKENDS,
    ),
    Cause(
        "clock_drifts",
        "The clocks differ",
        "This machine's clock is {skew} {direction} the server's.",
        "Switch NTP on, on both machines: `timedatectl set-ntp true`.",
        _BACKENDS,
        is_fault=False,
    ),
    Cause(
        "api_path",
        "The API is not behind this address",
        "The API's path {path} is answered with {status}: the proxy does not pass it on.",
        "Pass /apps on to the server as /app is; compare `path` of the backend's options with path_prefix.",
        _BACKENDS,
    ),
    Cause(
        "api_redirected",
        "The API is redirected",
        "The API answers with a redirect ({status}), which turns POST into GET.",
        "Give the backend the final scheme, host and port: PUSHER_SCHEME=https, PUSHER_PORT=443.",
        _BACKENDS,
    ),
    Cause(
        "api_silent",
        "The API does not answer",
        "The API does not answer: {reason}.",
        "From the backend's machine or container: `curl http://PUSHER_HOST:PUSHER_PORT/up` has to answer.",
        _SILENCE,
    ),
    Cause(
        "api_elsewhere",
        "The backend's address cannot be reached from here",
        "The backend publishes to {host}, which this machine cannot reach: {reason}.",
        "Run doctor on the backend's machine or in its container as well, without --url.",
        _SILENCE,
        is_fault=False,
    ),
    Cause(
        "api_refused",
        "The API refuses the request",
        "The API answers {status}: {message}.",
        "Look at the line `request refused: …` in the server's log.",
        _BACKENDS,
    ),
    Cause(
        "api_busy",
        "The API cannot answer now",
        "The API answers {status}: {message}.",
        "Try again; then look at the server's log.",
        _BACKENDS,
        is_fault=False,
    ),
    Cause(
        "api_key_unknown",
        "No app has the backend's key",
        "The API knows no app with this key.",
        "Set PUSHER_APP_KEY to the app's key, then `php artisan config:clear`, and restart the worker.",
        _BACKENDS,
    ),
    Cause(
        "app_id_wrong",
        "The app's id belongs to another app",
        "The key is one of the server's, and the app id is not that of its app.",
        "Set PUSHER_APP_ID to the app's id, then `php artisan config:clear`, and restart the worker.",
        _BACKENDS,
    ),
    Cause(
        "secret_wrong",
        "The secret is wrong",
        "The signature does not match: the secret is not the app's, or a proxy rewrites the path or query.",
        "Set PUSHER_APP_SECRET to the app's secret, then `php artisan config:clear`, and restart the worker.",
        _BACKENDS,
    ),
    Cause(
        "event_lost",
        "A publication does not arrive",
        "The publication was accepted, and its event did not arrive within {seconds} s.",
        "Compare the backend's host with the clients': both have to reach one server. Several nodes need"
        " [cluster.redis].",
        "docs/clustering.md",
    ),
    Cause(
        "subscription_lost",
        "The subscription has no answer",
        "The subscription to {channel} was not confirmed: {reason}.",
        "Look at the line `subscription refused: …` in the server's log.",
        "docs/troubleshooting.md#subscriptions-and-messages",
    ),
    # The auth route of the backend.
    Cause(
        "auth_silent",
        "The auth route does not answer",
        "The auth route does not answer: {reason}.",
        "Correct --auth-url, and `authEndpoint` of the client; is the backend running?",
        _SILENCE,
    ),
    Cause(
        "auth_missing",
        "The auth route does not exist",
        "The auth route is answered with {status}.",
        "Laravel: `php artisan install:broadcasting`, or Broadcast::routes() in a provider; compare"
        " `authEndpoint` of the client.",
        _SILENCE,
    ),
    Cause(
        "auth_redirected",
        "The auth route is redirected",
        "The auth route answers the preflight with a redirect ({status}), which browsers do not follow.",
        "Give `authEndpoint` its final address, with https:// and without a slash too many.",
        _SILENCE,
    ),
    Cause(
        "auth_without_cors",
        "The auth route does not allow the page's origin",
        "The auth route does not allow the origin {origin}: the browser never sends the request.",
        "config/cors.php: `'paths' => ['api/*', 'broadcasting/auth'], 'allowed_origins' => ['{origin}'],"
        " 'supports_credentials' => true`.",
        _SILENCE,
    ),
    Cause(
        "auth_headers",
        "The auth route does not allow the client's headers",
        "The auth route does not allow the header {header} from {origin}, which some logins send.",
        "config/cors.php: `'allowed_headers' => ['*']`.",
        _SILENCE,
        is_fault=False,
    ),
    Cause(
        "auth_failing",
        "The backend fails",
        "The auth route is answered with {status}.",
        "Look at the backend's log (storage/logs/laravel.log).",
        _SILENCE,
        is_fault=False,
    ),
    # The operations listener.
    Cause(
        "operations_silent",
        "The operations listener does not answer",
        "The operations listener does not answer: {reason}.",
        "Run doctor on the server's machine, with operations.enabled; [operations] has host and port.",
        "docs/metrics.md",
    ),
    Cause(
        "operations_token",
        "The operations listener wants its token",
        "The operations listener refuses the request ({status}).",
        "Set PUSHER_SERVER__OPERATIONS__TOKEN here to operations.token.",
        "docs/metrics.md",
    ),
    Cause(
        "version_differs",
        "Server and doctor are of different releases",
        "The server is {server}, and this doctor {own}.",
        "Run the doctor of the server's release, or upgrade the older one.",
        "docs/deployment.md#upgrading",
        is_fault=False,
    ),
    Cause(
        "files_few",
        "The server may open few files",
        "A process of the server may open {most} files, and each connection is one.",
        "systemd: `LimitNOFILE=1048576`; Docker: `--ulimit nofile=1048576:1048576`; shell: `ulimit -n`.",
        _FILES,
        is_fault=False,
    ),
    Cause(
        "files_used_up",
        "The server runs out of files",
        "A process of the server has {open} of the {most} files open that it may.",
        "systemd: `LimitNOFILE=1048576`; Docker: `--ulimit nofile=1048576:1048576`; or more workers.",
        _FILES,
    ),
    Cause(
        "findings_wait",
        "The server knows of faults",
        "The running server has found {findings}.",
        "Read them: `pusher-server why`.",
        "docs/troubleshooting.md#ask-the-server",
        is_fault=False,
    ),
    # A check that could not be made.
    Cause(
        "left_out",
        "The check was left out",
        "Not checked: {reason}.",
        "{fix}",
        _CHECKS,
        is_fault=False,
    ),
)
