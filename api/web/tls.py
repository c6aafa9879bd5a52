"""TLS contexts: 1.3 only, refusals that the peer and our log hear of, and files that are read again when they change.

CPython drops the alert of a failed handshake (gh-98078), so a refused client would see a bare close;
`AlertingSSLObject` gets it delivered, and who speaks plain HTTP to a TLS port is told so. No session tickets: OpenSSL
does not look at a certificate again on a resumed session, so an expired or untrusted one would still be let in.
"""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from api import telemetry
from api.client.tls import client_context
from api.web.transport import unparsed
from ledger import plain_file

__all__ = ["AlertingSSLObject", "client_context", "server_context"]

_ALPN: Final = ["http/1.1"]

_Stamp = tuple[tuple[int, int, int], ...]


class AlertingSSLObject(ssl.SSLObject):
    """An SSLObject whose failed handshake is first heard of by the peer, then raised."""

    outgoing: ssl.MemoryBIO
    """What the event loop sends to the peer."""
    _failed: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """Does the handshake; a refusal is logged and counted, and what the peer hears is written before the close."""
        if self._failed is not None:
            raise self._failed
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLSyscallError, ssl.SSLEOFError):
            raise
        except ssl.SSLError as error:
            self._failed = error
            reason = getattr(error, "verify_message", None) or error.reason or "unknown"
            telemetry.TLS_REFUSED.labels(reason).inc()
            telemetry.log.warning("tls handshake refused", reason=reason)
            if error.reason == "HTTP_REQUEST":
                # OpenSSL has no alert for it, and the client would wait until the handshake's time is over.
                self.outgoing.write(unparsed("plain HTTP was spoken to a TLS port; use https"))
            if not self.outgoing.pending:
                raise
            # "Want read" makes the event loop flush what was written, the alert; its next call gets the error.
            raise ssl.SSLWantReadError("the alert is to be written first") from error


class _AlertingContext(ssl.SSLContext):
    """A context whose connections know what they send through."""

    sslobject_class = AlertingSSLObject

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the library does; event loops call it for each connection."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, AlertingSSLObject):
            made.outgoing = outgoing
        return made


def server_context(cert: Path | str, key: Path | str, client_ca: Path | str, required: bool) -> ssl.SSLContext:
    """A server context whose certificate, key and client authorities follow their files without a restart.

    With `required` a client without certificate is refused in the handshake; without it, it is let in as nobody. A
    certificate that does not verify is refused in either case. A changed file that cannot be used leaves the old state
    in force, and says so in the log. Raises OSError or ssl.SSLError when the files cannot be used at the start.
    """
    files = (Path(cert), Path(key), Path(client_ca))
    current = _Current(files, lambda: _plain_context(*files, required))
    front = _plain_context(*files, required)

    def follow_files(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = current.context()

    # OpenSSL calls it for every handshake, also without a server name.
    front.sni_callback = follow_files
    return front


def public_context(cert: Path | str, key: Path | str) -> ssl.SSLContext:
    """A TLS 1.3 context that asks nobody for a certificate; raises OSError or ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(plain_file.require(Path(cert)), plain_file.require(Path(key)))
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Current:
    """The context made from the files as they are now."""

    def __init__(self, files: tuple[Path, ...], make: Callable[[], ssl.SSLContext]) -> None:
        self._files = files
        self._make = make
        self._stamp = _stamp(files)
        self._context = make()

    def context(self) -> ssl.SSLContext:
        try:
            stamp = _stamp(self._files)
        except OSError:
            # Between two renames a file can be absent for a moment.
            return self._context
        if stamp != self._stamp:
            # A broken file is tried once, not in each handshake.
            self._stamp = stamp
            try:
                self._context = self._make()
            except (OSError, ssl.SSLError) as error:
                telemetry.TLS_RELOADED.labels("refused").inc()
                telemetry.log.error("tls files cannot be used, the old ones stay in force", **telemetry.failure(error))
            else:
                telemetry.TLS_RELOADED.labels("done").inc()
                telemetry.log.info("tls files read again")
        return self._context


def _stamp(files: tuple[Path, ...]) -> _Stamp:
    found = []
    for file in files:
        status = file.stat()
        found.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(found)


def _plain_context(cert: Path, key: Path, client_ca: Path, required: bool) -> ssl.SSLContext:
    context = _AlertingContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(plain_file.require(cert), plain_file.require(key))
    context.load_verify_locations(cafile=plain_file.require(client_ca))
    context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.num_tickets = 0
    context.set_alpn_protocols(_ALPN)
    return context
