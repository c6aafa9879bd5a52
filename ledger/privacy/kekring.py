"""Key-encryption keys, one an epoch, kept apart from what they wrap.

Every backup of the key database is as readable as the epoch under which its keys are wrapped. Destroying an epoch
after re-wrapping the survivors kills all older backups at once, wherever they are.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Annotated, Final, Protocol, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ledger.privacy.errors import KekEpochAbsent, KekRingExposed, KekRingMalformed, TamperedData
from ledger.records.privacy import MAX_EPOCH

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_RING_BYTES: Final = 1_048_576
FORMAT: Final = "flexledger-kek-ring/1"


class KekProvider(Protocol):
    """Where key-encryption keys live: a file of ours, a PKCS#11 token, a key service. Keys never leave it."""

    def epochs(self) -> tuple[int, ...]:
        """The epochs that exist, oldest first."""
        ...

    def new_epoch(self) -> int:
        """Makes a key; the number is higher than that of any epoch that ever was. Durable when it returns."""
        ...

    def wrap(self, epoch: int, key: bytes, associated: bytes) -> bytes:
        """`key`, encrypted and bound to `associated`; raises `KekEpochAbsent`."""
        ...

    def unwrap(self, epoch: int, wrapped: bytes, associated: bytes) -> bytes:
        """What was wrapped; raises `KekEpochAbsent`, `TamperedData`."""
        ...

    def destroy(self, epoch: int) -> None:
        """Forgets the key for good; raises `KekEpochAbsent`."""
        ...


class _Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    epoch: Annotated[int, msgspec.Meta(ge=1, le=MAX_EPOCH)]
    key: bytes

    def __repr__(self) -> str:
        return f"_Epoch({self.epoch})"


class _Ring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    next: Annotated[int, msgspec.Meta(ge=1, le=MAX_EPOCH)]
    keys: tuple[_Epoch, ...]

    def __repr__(self) -> str:
        return f"_Ring({len(self.keys)} keys)"


class KekRingFile:
    """A key ring in a file that only its owner may read: mode 0600 is demanded, not set right in passing.

    On solid-state media a file's old bytes cannot be proven gone; who needs that proof uses a hardware provider.
    """

    def __init__(self, path: Path, ring: _Ring) -> None:
        """Use `create` or `open`."""
        self._path = path
        self._take(ring)

    def __repr__(self) -> str:
        """Names the file and the epochs, never a key."""
        return f"KekRingFile({str(self._path)!r}, epochs={self.epochs()})"

    def __reduce__(self) -> str:
        """Raises TypeError: keys are not pickled."""
        raise TypeError("a key ring is not pickled")

    @classmethod
    def create(cls, path: Path) -> Self:
        """A new ring with its first epoch; raises FileExistsError where there is a file."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        ring = cls(path, _Ring(FORMAT, 1, ()))
        ring.new_epoch()
        return ring

    @classmethod
    def open(cls, path: Path) -> Self:
        """The ring in that file; raises `KekRingExposed`, `KekRingMalformed`, `KekEpochAbsent` where there is none."""
        return cls(path, _read(path))

    def epochs(self) -> tuple[int, ...]:
        """The epochs that exist, oldest first."""
        return tuple(sorted(self._keys))

    def new_epoch(self) -> int:
        """Makes a key; its number was never used before. Durable when it returns."""
        epoch = self._next
        ring = _Ring(FORMAT, epoch + 1, (*self._ring.keys, _Epoch(epoch, secrets.token_bytes(KEY_BYTES))))
        self._write(ring)
        return epoch

    def wrap(self, epoch: int, key: bytes, associated: bytes) -> bytes:
        """`key` under AES-256-GCM with a random nonce, bound to `associated`; raises `KekEpochAbsent`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher(epoch).encrypt(nonce, key, associated)

    def unwrap(self, epoch: int, wrapped: bytes, associated: bytes) -> bytes:
        """What was wrapped; raises `KekEpochAbsent`, or `TamperedData` where it is not what we wrapped."""
        try:
            return self._cipher(epoch).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], associated)
        except (InvalidTag, ValueError) as error:
            raise TamperedData("a wrapped key is not what was wrapped", epoch=epoch) from error

    def destroy(self, epoch: int) -> None:
        """Writes the ring without this key, then overwrites the old file's bytes; raises `KekEpochAbsent`."""
        if epoch not in self._keys:
            raise KekEpochAbsent("the ring does not hold this epoch", epoch=epoch)
        self._write(_Ring(FORMAT, self._next, tuple(one for one in self._ring.keys if one.epoch != epoch)))

    def _cipher(self, epoch: int) -> AESGCM:
        if epoch not in self._keys:
            # Another process may have rotated since this one read the file.
            self._take(_read(self._path))
        try:
            return self._keys[epoch]
        except KeyError:
            raise KekEpochAbsent("the ring does not hold this epoch", epoch=epoch) from None

    def _take(self, ring: _Ring) -> None:
        self._ring = ring
        self._next = ring.next
        self._keys = {one.epoch: AESGCM(one.key) for one in ring.keys}

    def _write(self, ring: _Ring) -> None:
        beside = self._path.with_name(f"{self._path.name}.new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(ring))
            file.flush()
            os.fsync(file.fileno())
        old = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            # From here on the new ring is the one that a restart finds.
            beside.replace(self._path)
            _sync_folder(self._path.parent)
            os.pwrite(old, secrets.token_bytes(max(1, os.fstat(old).st_size)), 0)
            os.fsync(old)
        finally:
            os.close(old)
        self._take(ring)


def _read(path: Path) -> _Ring:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise KekEpochAbsent("no key ring there") from error
    except OSError as error:
        raise KekRingExposed("not a plain file that we may read", expected="a file of mode 0600") from error
    try:
        _require_private(os.fstat(descriptor))
        with os.fdopen(os.dup(descriptor), "rb") as file:
            data = file.read(MAX_RING_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > MAX_RING_BYTES:
        raise KekRingMalformed("too large", expected=f"at most {MAX_RING_BYTES} bytes")
    try:
        ring = msgspec.json.decode(data, type=_Ring)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The message of the decoder could repeat a key.
        raise KekRingMalformed("not a key ring") from None
    if ring.format != FORMAT or any(len(one.key) != KEY_BYTES or one.epoch >= ring.next for one in ring.keys):
        raise KekRingMalformed("not a key ring of this format", expected=FORMAT)
    return ring


def _require_private(found: os.stat_result) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise KekRingExposed("not a plain file", expected="a file of mode 0600")
    if mode & 0o177:
        raise KekRingExposed("others may read or use the key ring", expected="mode 0600", found=oct(mode))
    if found.st_uid != os.geteuid():
        raise KekRingExposed("the key ring belongs to somebody else", expected=os.geteuid(), found=found.st_uid)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
