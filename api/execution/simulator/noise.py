"""Noise that depends on a seed, a name and a moment only, so that how a simulation is stepped changes no byte."""

import hashlib

_MASK = (1 << 64) - 1


def channel(seed: int, name: str) -> int:
    """A 64-bit key for one source of noise."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8])


def bits(key: int, tick: int) -> int:
    """64 bits that look random: splitmix64 of the key and the tick."""
    z = (key + tick * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def gauss(key: int, tick: int) -> float:
    """About normal, mean 0 and deviation 1: four uniform values added up, never beyond 3.5."""
    z = bits(key, tick)
    total = (z & 0xFFFF) + ((z >> 16) & 0xFFFF) + ((z >> 32) & 0xFFFF) + (z >> 48)
    return (total - 131070) * _SCALE


# The sum of four uniforms on 0..65535 has the deviation 65536 / sqrt(3).
_SCALE = 3**0.5 / 65536


def chance(key: int, tick: int, permille: int) -> bool:
    """True with the given probability."""
    return bits(key, tick) % 1000 < permille
