"""Bare verification of signatures on all cores: the floor under everything that has to verify many."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from time import perf_counter
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

ES256_BYTES: Final = 64
Check = tuple[bytes, bytes, bytes]
"""(key as DER, signature as DER, message); what a process of the pool is given."""


def es256(spki: bytes, signature: bytes, message: bytes) -> Check:
    """One check of an ES256 signature as a JWS has it (RFC 7518 section 3.4)."""
    half = ES256_BYTES // 2
    numbers = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    return spki, encode_dss_signature(*numbers), message


@contextmanager
def pool() -> Iterator[Callable[[Sequence[Check]], float]]:
    """Seconds for verifying so many on every core; each process has begun before anything is measured."""
    cores = os.cpu_count() or 1
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as processes:

        def verify(checks: Sequence[Check]) -> float:
            shares = [list(checks[at::cores]) for at in range(cores)]
            # Whoever has not begun yet does so here.
            list(processes.map(_verify_all, [share[:1] for share in shares]))
            started = perf_counter()
            list(processes.map(_verify_all, shares))
            return perf_counter() - started

        yield verify


def _verify_all(checks: list[Check]) -> int:
    """In a process of the pool: verifies, with each key read once."""
    how = ec.ECDSA(hashes.SHA256())
    for spki, signature, message in checks:
        _key(spki).verify(signature, message, how)
    return len(checks)


@lru_cache
def _key(spki: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError(type(key).__name__)
    return key
