"""`[server.tls]`, when the files that another server names are there."""

from pathlib import Path
from typing import Final

from pusher_server.migration.draft import Settings

#: The advice for any other option of a stream with TLS (php.net, "SSL context options").
ONLY_FILES: Final = (
    "only certificate, key and passphrase have settings here; let a proxy in front do the rest"
)

Named = tuple[str, object]


def write_tls(
    settings: Settings, certificate: Named, key: Named, password: Named = ("", None)
) -> bool:
    """Write certificate and key, each a pair of the setting's name and its value; returns whether it did.

    PHP and soketi take the key out of the certificate's file when no other is named.
    """
    files = [str(value) for _, value in (certificate, key) if value]
    if not files:
        return False
    missing = [file for file in files if not _is_here(file)]
    if missing:
        settings.refuse(
            certificate[0],
            f"{missing[0][:80]} is not on this machine: name both files as server.tls.certificate and .key",
        )
        return False
    settings.take(certificate[0], "server.tls.certificate", files[0])
    settings.take(key[0], "server.tls.key", files[-1])
    if password[1]:
        settings.take(password[0], "server.tls.key_password", str(password[1]))
    return True


def _is_here(file: str) -> bool:
    """Whether a file is on this machine, for all that we may see."""
    try:
        return Path(file).is_file()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        return False
