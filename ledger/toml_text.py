"""TOML that somebody handed over, read in bounded time.

The library's own parser has no bound of its own: it follows brackets until the interpreter gives up, refuses a long
number with an error that is not its own, and takes the square of its length for a key of many parts.
"""

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")

MAX_KEY_PARTS: Final = 32
"""More than any object identifier has: one in a string looks like a key here."""

# A part may only begin behind what ends another or opens a place, and a scan of a string ends where the next can begin:
# so this looks at each octet a bounded number of times.
_LONG_KEY: Final = re.compile(
    rb"""(?<![^\s.\[{,])(?:(?:[A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){%d}""" % MAX_KEY_PARTS
)


def decode(data: bytes, kind: type[T], *, dec_hook: Callable[[type, Any], Any] | None = None) -> T:
    """The document as a `kind`; raises `msgspec.DecodeError` for whatever is wrong with it, or UnicodeDecodeError."""
    if _LONG_KEY.search(data):
        raise msgspec.DecodeError(f"a key of more than {MAX_KEY_PARTS} parts")
    try:
        return msgspec.toml.decode(data, type=kind, dec_hook=dec_hook)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
    except ValueError:
        raise msgspec.DecodeError("a number with too many digits") from None
