"""The causes between a client and the server, as data: name, port, certificate, upgrade, path, refusals."""

from pusher_server.diagnosis.causes import Cause

_NGINX = "docs/deployment.md#behind-nginx"
_TLS = "docs/deployment.md#tls-in-the-process"
_CLIENTS = "docs/troubleshooting.md#clients"
_CHECKS = "docs/doctor.md#the-checks"

CONNECTION = (
    # Name and port.
    Cause(
        "name_unknown",
        "The host's name has no address",
        "{host} has no address: {reason}.",
        "Correct the host's name, or add an A or AAAA record for it at its DNS provider.",
        _CHECKS,
    ),
    Cause(
        "port_refused",
        "Nobody listens on the port",
        "{host} refuses connections on port {port}: nothing listens there.",
        "Start the server or its proxy, compare server.port with the URL, and publish the port of a container.",
        _CHECKS,
    ),
    Cause(
        "port_silent",
        "The port does not answer",
        "Port {port} of {host} does not answer within {seconds} s: a firewall drops the packets.",
        "Allow the port: `ufw allow {port}/tcp`, or the inbound rules (security group) of the cloud provider.",
        _CHECKS,
    ),
    Cause(
        "port_unreachable",
        "The host cannot be reached",
        "Port {port} of {host} cannot be reached: {reason}.",
        "Check the network and the address from this machine: `curl -v telnet://{host}:{port}`.",
        _CHECKS,
    ),
    Cause(
        "plain_on_tls_port",
        "The port speaks plain HTTP, and clients use TLS",
        "Port {port} of {host} speaks plain HTTP, and the URL wants TLS.",
        "Use the port of the proxy that has the certificate, set [server.tls], or connect with ws:// and"
        " `forceTLS: false`.",
        _TLS,
    ),
    Cause(
        "tls_on_plain_port",
        "The port speaks TLS, and clients connect without it",
        "Port {port} of {host} speaks TLS, and the URL wants none.",
        "Use wss://, `forceTLS: true` in the client and PUSHER_SCHEME=https in the backend.",
        _TLS,
    ),
    Cause(
        "no_http",
        "Another program has the port",
        "Port {port} of {host} accepts connections, and speaks neither HTTP nor TLS.",
        "Find the program that has the port (`ss -ltnp`), and correct the port of the URL.",
        _CHECKS,
    ),
    Cause(
        "tls_broken",
        "The TLS handshake fails",
        "The TLS handshake with port {port} of {host} fails: {reason}.",
        "Look at the proxy's TLS settings: `openssl s_client -connect {host}:{port} -servername {host}`.",
        _TLS,
    ),
    Cause(
        "other_port_closed",
        "Pages with https cannot connect",
        "Port {port} of {host}, which clients with TLS use, is closed.",
        "Pages on https:// can connect with wss:// only: put a proxy with a certificate before the server.",
        _TLS,
        is_fault=False,
    ),
    # The certificate.
    Cause(
        "certificate_expired",
        "The certificate has expired",
        "The certificate of {host} has expired.",
        "Renew it (`certbot renew`), and let the proxy or `systemctl reload pusher-server` read it again.",
        _TLS,
    ),
    Cause(
        "certificate_early",
        "The certificate is not valid yet",
        "The certificate of {host} is not valid yet, or this machine's clock is wrong.",
        "Compare `date -u` with a clock, and look at the certificate's dates.",
        _TLS,
    ),
    Cause(
        "certificate_name",
        "The certificate is for another name",
        "The certificate that {host} shows is for another name.",
        "Order a certificate that has this name (`certbot --nginx -d {host}`), or use the name that it has.",
        _TLS,
    ),
    Cause(
        "certificate_chain",
        "The certificate's chain is incomplete",
        "No authority that this machine trusts has issued the certificate of {host}: {reason}.",
        "Let the server send the whole chain (fullchain.pem, not cert.pem). For an authority of your own, set"
        " SSL_CERT_FILE here and trust it on each client.",
        _TLS,
    ),
    Cause(
        "certificate_self_signed",
        "The certificate is self-signed",
        "The certificate of {host} is self-signed, so browsers close the connection without a message.",
        "Use a certificate of an authority (`certbot`), or ws:// on the machine where you develop.",
        _TLS,
    ),
    Cause(
        "certificate_soon",
        "The certificate ends soon",
        "The certificate of {host} ends in {days}.",
        "Try its renewal: `certbot renew --dry-run`.",
        _TLS,
        is_fault=False,
    ),
    # The upgrade to a WebSocket, and the path.
    Cause(
        "upgrade_dropped",
        "A proxy drops Upgrade",
        "The request came to the server without its Upgrade headers: a proxy on the way drops them ({status}).",
        "nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection"
        ' "upgrade";`. Apache: `ProxyPass … upgrade=websocket`.',
        _NGINX,
    ),
    Cause(
        "upgrade_redirected",
        "The upgrade is redirected",
        "The upgrade is answered with a redirect ({status}), which no WebSocket client follows.",
        "Give clients the final address: wss:// in place of ws://, and the host that the redirect leads to.",
        _NGINX,
    ),
    Cause(
        "upgrade_forbidden",
        "Something on the way refuses the upgrade",
        "The upgrade is refused with {status}; this server never does that.",
        "Take the path out of the proxy's login, firewall or bot protection.",
        _NGINX,
    ),
    Cause(
        "proxy_without_server",
        "The proxy does not reach the server",
        "A proxy answers {status}: it does not reach the server behind it.",
        "Start the server, and compare proxy_pass with server.host and server.port: `curl http://127.0.0.1:6001/up`"
        " on the proxy's machine.",
        _NGINX,
    ),
    Cause(
        "other_site",
        "Another site answers",
        "The upgrade is answered with {status}: by another program, or a proxy without a rule for it.",
        "Add a `location` for /app and /apps that passes on to the server; compare host and port.",
        _NGINX,
    ),
    Cause(
        "no_answer",
        "The upgrade has no answer",
        "The upgrade is not answered: {reason}.",
        "Look at the proxy's log at this moment, and at the server's.",
        _NGINX,
    ),
    Cause(
        "no_pusher",
        "A WebSocket server of another protocol answers",
        "A WebSocket opens, and its first message is none of the Pusher protocol.",
        "Another server has this address: correct host, port and path.",
        _CHECKS,
    ),
    Cause(
        "path_extra",
        "The path has a prefix too many",
        "The server does not know the path {path}; {other} works.",
        "Take the prefix out of `wsPath` of the client, `path` of the backend's options, and --url.",
        _CLIENTS,
    ),
    Cause(
        "path_unknown",
        "The path is unknown",
        "The server does not know the path {path} ({status}).",
        "Compare `wsPath` of the client, the `location` of the proxy and server.path_prefix.",
        _CLIENTS,
    ),
    # The server's own refusals.
    Cause(
        "key_unknown",
        "No app has the key",
        "The server knows no app with this key.",
        "Compare PUSHER_APP_KEY with `pusher-server apps list`; after a change of VITE_…: `npm run build`.",
        _CLIENTS,
    ),
    Cause(
        "app_disabled",
        "The app is disabled",
        "The app is disabled.",
        "Set enabled = true, or run `pusher-server apps enable ID`.",
        _CLIENTS,
    ),
    Cause(
        "tls_required",
        "The app takes TLS only",
        "The app takes TLS only, and the connection came without it.",
        "Use wss:// and `forceTLS: true`, or set tls_only = false.",
        _CLIENTS,
    ),
    Cause(
        "tls_not_forwarded",
        "The proxy does not say that the client used TLS",
        "The app takes TLS only, and the server does not see that the client used it.",
        "nginx: `proxy_set_header X-Forwarded-Proto $scheme;`, and add the proxy to server.trusted_proxies.",
        _NGINX,
    ),
    Cause(
        "server_full",
        "The server takes no more connections",
        "The server answers {code}: a limit is reached, or it stops or starts just now.",
        "Try again; then compare limits.connections and websocket.max_connections with the number of clients.",
        _CLIENTS,
        is_fault=False,
    ),
    Cause(
        "connection_refused_otherwise",
        "The server refuses the connection",
        "The server refuses the connection with {code}: {message}.",
        "Look at the line `connection refused: …` in the server's log.",
        _CLIENTS,
    ),
    Cause(
        "origin_refused",
        "The origin is not allowed",
        "The app does not allow the origin {origin}.",
        'Add its host to the app\'s own: `allowed_origins = ["{name}"]`.',
        _CLIENTS,
    ),
    Cause(
        "origin_missing",
        "The app takes listed origins only",
        "The app takes listed origins only, and no origin was given here.",
        "Give --origin https://your.site.",
        _CLIENTS,
        is_fault=False,
    ),
    Cause(
        "mixed_content",
        "The page uses https and the connection does not",
        "Browsers do not let a page on https:// open ws://.",
        "Use wss:// with `forceTLS: true`, behind a proxy that has a certificate.",
        _TLS,
    ),
    Cause(
        "idle_short",
        "A proxy cuts idle connections",
        "Something on the way cuts an idle connection after {age}, and clients ping only after {activity}.",
        "nginx: `proxy_read_timeout 180s;`. Or set the app's activity_timeout below {age}.",
        _NGINX,
    ),
    Cause(
        "idle_closed",
        "The server ended the idle connection",
        "The server ended the connection after {age} with {code}, so the idle limit is not known.",
        "Run the check again; the server may have stopped or restarted.",
        _CLIENTS,
        is_fault=False,
    ),
)
