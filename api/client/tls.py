"""The client's side of TLS: 1.3 only, strict, with a certificate of its own where it has one."""

import ssl
from pathlib import Path

from ledger import plain_file


def client_context(ca: Path | str, cert: Path | str | None = None, key: Path | str | None = None) -> ssl.SSLContext:
    """A context that trusts the authorities in `ca` alone, and shows `cert` (PEM chain) where it is given.

    Raises OSError or ssl.SSLError when a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    context.load_verify_locations(cafile=plain_file.require(Path(ca)))
    if cert is not None:
        own = None if key is None else plain_file.require(Path(key))
        context.load_cert_chain(plain_file.require(Path(cert)), own)
    context.set_alpn_protocols(["http/1.1"])
    return context
