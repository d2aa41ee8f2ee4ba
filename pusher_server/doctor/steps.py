"""The order in which to look when nothing arrives, with the causes that `doctor` and `why` know for each step.

docs/deployment.md#nothing-arrives-in-which-order-to-look is made of it by `scripts/cause_pages.py`.
"""

from msgspec import Struct


class Step(Struct, frozen=True):
    """One step. `doctor` and `why` are names of causes of the command's table, each in one step."""

    title: str
    doctor: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


#: Causes of doctor that say something about the run, and not why nothing arrives.
OF_THE_RUN = (
    "left_out",
    "file_unreadable",
    "env_missing",
    "dynamic",
    "operations_silent",
    "operations_token",
    "version_differs",
    "findings_wait",
)

STEPS = (
    Step("The queue worker.", ("queue_worker",), ("nothing_published",)),
    Step(
        "The connection's name.",
        ("broadcast_off", "broadcast_variable", "config_cached", "php_library_missing"),
    ),
    Step(
        "Does the backend reach the server?",
        (
            "host_missing",
            "host_is_url",
            "scheme_differs",
            "api_elsewhere",
            "api_silent",
            "api_path",
            "api_redirected",
            "event_lost",
        ),
        ("apps_crossed",),
    ),
    Step(
        "Is the request accepted?",
        (
            "env_empty",
            "env_stray",
            "key_is_secret",
            "api_key_unknown",
            "app_id_wrong",
            "secret_wrong",
            "clock_off",
            "clock_drifts",
            "api_refused",
            "api_busy",
        ),
        ("request_refused", "signed_path", "signed_method", "signed_query"),
    ),
    Step(
        "Does the client connect?",
        (
            "name_unknown",
            "port_refused",
            "port_silent",
            "port_unreachable",
            "no_http",
            "plain_on_tls_port",
            "tls_on_plain_port",
            "tls_broken",
            "other_port_closed",
            "certificate_expired",
            "certificate_early",
            "certificate_name",
            "certificate_chain",
            "certificate_self_signed",
            "certificate_soon",
            "upgrade_dropped",
            "upgrade_redirected",
            "upgrade_forbidden",
            "proxy_without_server",
            "other_site",
            "no_answer",
            "no_pusher",
            "path_extra",
            "path_unknown",
            "key_unknown",
            "app_disabled",
            "tls_required",
            "tls_not_forwarded",
            "origin_refused",
            "origin_missing",
            "mixed_content",
            "server_full",
            "files_few",
            "files_used_up",
            "connection_refused_otherwise",
            "idle_short",
            "idle_closed",
            "echo_without_host",
            "client_variable_missing",
            "client_key_differs",
            "client_host_differs",
            "client_port_differs",
            "client_scheme_differs",
            "client_secret",
            "client_library_missing",
            "build_old",
        ),
        ("connection_refused", "wrong_protocol", "reconnect_loop", "idle_cut"),
    ),
    Step(
        "Is it subscribed?",
        (
            "auth_silent",
            "auth_missing",
            "auth_redirected",
            "auth_without_cors",
            "auth_headers",
            "auth_failing",
            "channels_missing",
            "channels_unregistered",
            "subscription_lost",
        ),
        (
            "nobody_subscribes",
            "subscription_refused",
            "sign_in_refused",
            "message_refused",
            "signed_socket",
            "signed_key",
            "signed_secret",
            "signed_with_key",
            "signed_channel",
            "signed_without_data",
            "signed_data",
            "signed_otherwise",
        ),
    ),
    Step(
        "Do the names agree?",
        ("channel_prefixed",),
        (
            "event_prefix",
            "client_prefix",
            "event_prefix_twice",
            "client_prefix_twice",
            "capitals",
            "separators",
            "event_dot",
            "event_escaped",
            "event_blank",
        ),
    ),
    Step("Is it the author who looks?"),
)
