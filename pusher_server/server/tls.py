"""TLS: one context for the life of the process, whose certificate can be replaced while it serves."""

import ssl

from pusher_server.config import TlsSettings
from pusher_server.errors import ConfigError


class Certificate:
    """The context given to the listeners; connections that stand keep what they negotiated."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises ConfigError when the files cannot be used."""
        self._settings = settings
        self.context = self._read()

    def reload(self) -> None:
        """Read the files again. Raises ConfigError, and the old certificate stays."""
        # Into a scratch context first: a mismatched pair poisons a live one (tests/edge/test_tls.py).
        self._read()
        self._load_into(self.context)

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self._load_into(context)
        return context

    def _load_into(self, context: ssl.SSLContext) -> None:
        settings = self._settings
        # A function, or OpenSSL would request a missing password on the terminal.
        password = settings.key_password
        for field, path in (("certificate", settings.certificate), ("key", settings.key)):
            try:
                with open(path, "rb"):
                    pass
            except OSError as error:
                raise ConfigError(
                    f"server.tls.{field}", f"cannot read {path}: {error.strerror}"
                ) from None
        try:
            context.load_cert_chain(settings.certificate, settings.key, password=lambda: password)
        except ssl.SSLError as error:
            reason = error.reason or "not a usable PEM pair"
            raise ConfigError(
                "server.tls.certificate",
                f"{settings.certificate} and {settings.key} cannot be used together ({reason}); "
                "check that the key belongs to the certificate and that key_password is right",
            ) from None
