"""How a command says what failed: a stable code and plain words, whatever kind of error it was."""

import ssl
import sys
from typing import Final

import msgspec

from api.errors import Refused

CODED: Final = "code"


class FileUnusable(Refused):
    """The system refused a file, a folder or an address that was named: it is absent, taken, or of another kind."""

    code = "api/file-unusable"
    title = "File cannot be used"


class InputUnfit(Refused):
    """What was named was read, and is not what is wanted there."""

    code = "api/input-unfit"
    title = "Input does not fit"


def told(error: Exception) -> str:
    """`code: words` of any failure that a command expects."""
    coded = error if hasattr(error, CODED) else _coded(error)
    return f"{getattr(coded, CODED)}: {coded}"


def say(what: str, error: Exception, *, json: bool = False) -> None:
    """Says that `what` did not happen and why: a line on standard error, or one JSON document where machines read."""
    if json:
        code, _, detail = told(error).partition(": ")
        print(msgspec.json.encode({"code": code, "detail": detail}).decode())
    else:
        print(f"{what}: {told(error)}", file=sys.stderr)


def _coded(error: Exception) -> Refused:
    """What Python says of it, without Python's names and without the whole path."""
    if isinstance(error, ssl.SSLError):
        return InputUnfit("certificates or keys cannot be used for TLS", found=error.reason or error.strerror)
    if isinstance(error, OSError):
        file = "" if error.filename is None else str(error.filename).rpartition("/")[2]
        place = {"file": file} if file else {}
        return FileUnusable("it cannot be used", found=error.strerror or "no reason given", **place)
    return InputUnfit("it cannot be read", found=str(error) or None)
