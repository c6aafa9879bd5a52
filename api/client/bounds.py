"""What a stranger's answer may cost, whatever it is: so much memory, so much time, and words that fit on a line.

The HTTP library bounds each step of an exchange. That is not enough: a server that sends an octet in every step never
ends, one that sends nothing but interim answers never begins, and what it calls compressed may decode to nothing for
hours. So the whole of an answer is bounded here, and it is decoded here.
"""

import re
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from api.client.errors import AnswerMalformed
from ledger import errors

MAX_TEXT: Final = 512
"""Characters of a stranger's words that are repeated in one of our own errors."""
MIN_OCTETS_PER_S: Final = 16_384
"""Who sends more slowly than this on the whole, counted after a first allowance, is cut off."""
STEPS: Final = 2
"""The first allowance, in timeouts of one step: one to connect and ask in, one until the answer begins."""
GZIP: Final = "gzip"
_SECONDS: Final = re.compile(r"[0-9]{1,9}")

_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16


class Patience:
    """How long one exchange may still take: a first allowance, and more for every octet that went or came."""

    def __init__(self, step_s: float, sent: int = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins now, with an allowance of `STEPS` times `step_s`."""
        self._clock = clock
        self._until = clock() + STEPS * step_s + sent / MIN_OCTETS_PER_S

    def came(self, octets: int) -> None:
        """So many octets have come: that much more time."""
        self._until += octets / MIN_OCTETS_PER_S

    def left_s(self) -> float:
        """Seconds that are left; 0 when there are none."""
        return max(0.0, self._until - self._clock())

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Every TLS socket of this thread that reads or writes in the block does it in the time that is left."""
        _current.patience = self
        try:
            yield
        finally:
            _current.patience = None


class PatientSocket(ssl.SSLSocket):
    """A TLS socket that waits no longer than is left of the exchange; for `SSLContext.sslsocket_class`."""

    def settimeout(self, value: float | None, /) -> None:
        """Raises TimeoutError where nothing is left."""
        patience: Patience | None = getattr(_current, "patience", None)
        if patience is not None and value != 0.0:
            left_s = patience.left_s()
            if left_s == 0.0:
                raise TimeoutError("the exchange took too long")
            value = left_s if value is None else min(value, left_s)
        super().settimeout(value)


class Body:
    """The body of one answer, as it comes: no more of it than `limit`, decoded by at most one coding."""

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        """`headers` have names in lower case. Raises `AnswerMalformed` for a coding that was not asked for."""
        coding = headers.get("content-encoding", "").strip().lower()
        if coding not in {"", "identity", GZIP}:
            # Each further one multiplies what a small body costs.
            raise AnswerMalformed("the answer is encoded as nobody asked", expected=GZIP, found=shown(coding))
        self._gzip = zlib.decompressobj(_GZIP_WINDOW) if coding == GZIP else None
        self._limit = limit
        self._came = 0
        self._body = bytearray()

    def feed(self, raw: bytes) -> None:
        """Octets as they came; raises `AnswerMalformed` where they are too many, or are no gzip."""
        self._came += len(raw)
        self._body += raw if self._gzip is None else self._inflated(self._gzip, raw)
        if max(self._came, len(self._body)) > self._limit:
            raise AnswerMalformed("the answer is too large", expected=f"at most {self._limit} bytes")

    def whole(self) -> bytes:
        """All of it; raises `AnswerMalformed` where what is compressed has no end."""
        if self._gzip is not None and self._came and not self._gzip.eof:
            raise AnswerMalformed("the answer cannot be decompressed", found="no end")
        return bytes(self._body)

    def _inflated(self, stream: "zlib._Decompress", raw: bytes) -> bytes:
        try:
            found = stream.decompress(raw, self._limit + 1 - len(self._body))
        except zlib.error:
            raise AnswerMalformed("the answer cannot be decompressed") from None
        if stream.unused_data:
            raise AnswerMalformed("the answer cannot be decompressed", found="more after its end")
        return found


def refuse_encoded(headers: Mapping[str, str]) -> None:
    """Raises `AnswerMalformed` for an answer in any coding, where none was asked for."""
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise AnswerMalformed("the answer is encoded as nobody asked", expected="no coding", found=shown(coding))


def shown(text: str) -> str:
    """A stranger's words as they may stand in an error: see `ledger.errors.shown`, and fewer of them."""
    return errors.shown(text, MAX_TEXT)


def retry_after_s(text: str | None) -> float | None:
    """The seconds that a service asks for; None where it says nothing, or no number (an HTTP date is none)."""
    if text is None or not _SECONDS.fullmatch(text):
        return None
    return float(text)


_current: Any = threading.local()
