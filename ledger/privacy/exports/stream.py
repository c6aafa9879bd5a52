"""Octets enciphered chunk by chunk, so that nobody needs the whole of them: the STREAM construction.

AES-256-GCM over chunks of 64 KiB under one key that is used once. A chunk's nonce is its number, 11 octets, and one
octet that is 1 for the last: a chunk that was moved, left out or repeated, and an end that is not the end, do not open
(Hoang, Reyhanitabar, Rogaway, Vizar 2015; the nonces are those of the age file format).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK_BYTES: Final = 65_536
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32

_COUNTER_BYTES: Final = 11


class Encryptor:
    """Takes octets as they come and gives chunks; `key` is fresh, random, and of this stream alone."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self._number = 0
        self._held = bytearray()

    def update(self, data: bytes) -> bytes:
        """The chunks that are full. One waits: it may be the last."""
        self._held += data
        whole = max(0, len(self._held) - 1) // CHUNK_BYTES
        made = []
        for start in range(0, whole * CHUNK_BYTES, CHUNK_BYTES):
            chunk = bytes(self._held[start : start + CHUNK_BYTES])
            made.append(self._cipher.encrypt(_nonce(self._number, is_last=False), chunk, None))
            self._number += 1
        del self._held[: whole * CHUNK_BYTES]
        return b"".join(made)

    def finish(self) -> bytes:
        """The last chunk, which may be empty only where everything is."""
        return self._cipher.encrypt(_nonce(self._number, is_last=True), bytes(self._held), None)


def encrypted(key: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks of what `pieces` are together."""
    encryptor = Encryptor(key)
    for piece in pieces:
        made = encryptor.update(piece)
        if made:
            yield made
    yield encryptor.finish()


def decrypted(key: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """What was enciphered, piece by piece; raises InvalidTag at the first chunk that is not as it was, or at the end.

    `read` gives so many octets, and fewer only at the end. Nothing may be relied on before the last piece came.
    """
    cipher, number = AESGCM(key), 0
    chunk, after = read(CHUNK_BYTES + TAG_BYTES), read(CHUNK_BYTES + TAG_BYTES)
    while True:
        if len(chunk) < TAG_BYTES:
            raise InvalidTag
        yield cipher.decrypt(_nonce(number, is_last=not after), chunk, None)
        if not after:
            return
        chunk, after, number = after, read(CHUNK_BYTES + TAG_BYTES), number + 1


class Chunks:
    """What was enciphered, `size` octets of it, deciphered where one likes: as `decrypted`, but not from its beginning.

    `read_at` gives so many of the enciphered octets from an offset on. Nothing may be relied on before every chunk was
    read once.
    """

    def __init__(self, key: bytes, size: int, read_at: Callable[[int, int], bytes]) -> None:
        """`size` is that of what was enciphered with all its tags; raises InvalidTag where the last chunk is none."""
        self._cipher = AESGCM(key)
        self._read_at = read_at
        self._number = -(-size // (CHUNK_BYTES + TAG_BYTES))
        self.size = size - self._number * TAG_BYTES
        if self._number == 0 or self.size < (self._number - 1) * CHUNK_BYTES:
            raise InvalidTag
        self._held = -1, b""
        """The chunk that was read last: who reads on finds the rest of it here."""
        # What was cut off is found out at once.
        self._chunk(self._number - 1)

    def at(self, offset: int, size: int) -> bytes:
        """So many octets from there on, fewer only at the end; raises InvalidTag."""
        found = []
        stop = min(offset + size, self.size)
        while offset < stop:
            number, start = divmod(offset, CHUNK_BYTES)
            piece = self._chunk(number)[start : start + stop - offset]
            if not piece:
                raise InvalidTag
            found.append(piece)
            offset += len(piece)
        return b"".join(found)

    def _chunk(self, number: int) -> bytes:
        if self._held[0] != number:
            sealed = self._read_at(number * (CHUNK_BYTES + TAG_BYTES), CHUNK_BYTES + TAG_BYTES)
            nonce = _nonce(number, is_last=number == self._number - 1)
            self._held = number, self._cipher.decrypt(nonce, sealed, None)
        return self._held[1]


def encrypted_size(size: int) -> int:
    """How many octets the chunks of `size` octets have."""
    return size + TAG_BYTES * max(1, -(-size // CHUNK_BYTES))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes([is_last])
