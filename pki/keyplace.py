"""Where an authority's key is: in a file, or in a PKCS#11 token, written as a URI (RFC 7512).

    pkcs11:token=flexledger;object=fo-ca;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/pin

The URI says where the PIN is, never what it is: it may be reviewed, printed and recorded.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from pki import plain_file
from pki.errors import Absent, Refused
from pki.keys import OTHERS

SCHEME = "pkcs11:"
MAX_URI_CHARS = 1024
MAX_PIN_BYTES = 256
_PATH = {"token", "object", "id", "type"}
_QUERY = {"module-path", "pin-source"}
_ENVIRONMENT_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


class BadKeyPlace(Refused):
    """Not a PKCS#11 URI of one key: a part is missing, repeated or unknown, or it holds the PIN itself."""

    code = "pki/key-place"
    title = "Place of a key cannot be read"


class PinAbsent(Absent):
    """The PIN is not where the place of the key says."""

    code = "pki/pin-absent"
    title = "PIN not found"


class PinExposed(Refused):
    """Others on the machine may read the file with the PIN."""

    code = "pki/pin-exposed"
    title = "PIN is readable by others"


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """A key in a token: found by label, and by `key_id` too where it is given."""

    module: Path
    token: str
    label: str
    key_id: bytes | None
    pin_source: str

    def uri(self) -> str:
        """The URI that `parse` reads as this place."""
        identity = "" if self.key_id is None else f";id={''.join(f'%{byte:02x}' for byte in self.key_id)}"
        return (
            f"{SCHEME}token={quote(self.token, safe='')};object={quote(self.label, safe='')}{identity}"
            f"?module-path={quote(str(self.module))}&pin-source={quote(self.pin_source, safe='/:')}"
        )

    def pin(self) -> str:
        """The PIN, from the file (mode 0600) or the environment variable; PinAbsent, PinExposed."""
        kind, _, name = self.pin_source.partition(":")
        if kind == "env":
            value = os.environ.get(name)
            if value is None:
                raise PinAbsent("the environment variable with the PIN is not set", variable=name)
            return value
        return _pin_in(Path(name))


def parse(uri: str) -> TokenPlace:
    """The place that `uri` names (RFC 7512: `token`, `object`, `id`; `module-path`, `pin-source`), or BadKeyPlace."""
    if not uri.startswith(SCHEME) or len(uri) > MAX_URI_CHARS:
        raise BadKeyPlace("not a PKCS#11 URI", expected="pkcs11:token=...;object=...?module-path=...&pin-source=...")
    path, _, query = uri.removeprefix(SCHEME).partition("?")
    named = {**_attributes(path, ";", _PATH), **_attributes(query, "&", _QUERY)}
    if named.get("type", b"private") != b"private":
        raise BadKeyPlace("not the place of a private key", expected="type=private")
    for needed in ("token", "object", "module-path", "pin-source"):
        if not named.get(needed):
            raise BadKeyPlace("a part is missing", expected=needed)
    pin_source = _text(named["pin-source"])
    kind, _, name = pin_source.partition(":")
    is_good = Path(name).is_absolute() if kind == "file" else kind == "env" and _ENVIRONMENT_NAME.fullmatch(name)
    if not is_good:
        raise BadKeyPlace("the source of the PIN cannot be used", expected="file:/absolute/path or env:NAME")
    module = Path(_text(named["module-path"]))
    if not module.is_absolute():
        raise BadKeyPlace("the module is not an absolute path")
    return TokenPlace(module, _text(named["token"]), _text(named["object"]), named.get("id") or None, pin_source)


def _attributes(text: str, between: str, known: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in filter(None, text.split(between)):
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise BadKeyPlace("a PIN does not stand in a place", expected="pin-source")
        if not equals or name not in known or name in found:
            raise BadKeyPlace("an attribute is unknown or repeated", expected=", ".join(sorted(known)))
        found[name] = unquote_to_bytes(value)
    return found


def _text(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadKeyPlace("an attribute is not UTF-8") from error
    if not text.isprintable():
        raise BadKeyPlace("an attribute has control characters")
    return text


def _pin_in(path: Path) -> str:
    try:
        with plain_file.opened(path) as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & OTHERS:
                found = f"{stat.S_IMODE(mode):04o}"
                raise PinExposed("others may read the PIN", expected="0600", found=found, file=path.name)
            data = file.read(MAX_PIN_BYTES + 1)
    except OSError as error:
        raise PinAbsent("the file with the PIN cannot be read", file=path.name) from error
    if len(data) > MAX_PIN_BYTES:
        raise PinAbsent("the file is too large for a PIN", expected=f"at most {MAX_PIN_BYTES} bytes", file=path.name)
    try:
        return data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise PinAbsent("the PIN is not UTF-8", file=path.name) from None
