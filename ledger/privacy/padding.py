"""Sizes tell: plaintexts are padded to a few lengths before they are encrypted."""

from ledger.privacy.errors import TamperedData

LENGTH_BYTES = 4
SMALLEST_BUCKET = 64
LARGEST_POWER_BUCKET = 4096
STEPS_PER_DOUBLING = 8
"""Above the powers of two a bucket wastes at most an eighth and shows at most the size's first bits (as in Padmé)."""


def bucket(length: int) -> int:
    """The padded length of a plaintext of `length` bytes, its own length field included."""
    needed = length + LENGTH_BYTES
    size = SMALLEST_BUCKET
    while size < needed and size < LARGEST_POWER_BUCKET:
        size *= 2
    if needed <= size:
        return size
    step = (1 << (needed.bit_length() - 1)) // STEPS_PER_DOUBLING
    return -(-needed // step) * step


def pad(data: bytes) -> bytes:
    """`data` behind its length, filled with zeros to its bucket."""
    return (len(data).to_bytes(LENGTH_BYTES, "big") + data).ljust(bucket(len(data)), b"\0")


def unpad(padded: bytes) -> bytes:
    """What `pad` was given; raises `TamperedData` for anything that `pad` does not make."""
    length = int.from_bytes(padded[:LENGTH_BYTES], "big")
    data = padded[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(data) != length or pad(data) != padded:
        raise TamperedData("the padding is not ours")
    return data
