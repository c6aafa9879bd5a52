"""What the figures were measured on."""

import os
import platform
import sqlite3
import ssl
import statistics
import subprocess
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from tests.support.vectors import REPOSITORY

SYNCS: Final = 50
SYNC_BYTES: Final = 4096


def look(folder: Path) -> dict[str, Any]:
    """Machine, versions, how long a sync takes in `folder`, and the commit."""
    return {
        "machine": f"{_processor()} ({platform.machine()}), {platform.system()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "packages": ", ".join(f"{name} {version(name)}" for name in ("cryptography", "msgspec", "pyasn1")),
        "fsync_p50_us": round(fsync_p50_s(folder) * 1e6, 1),
        "durability": "SQLite WAL, synchronous=FULL: a commit returns after its sync",
        "commit": _commit(),
        "load_before": round(_load(), 2),
    }


def finish(where: dict[str, Any]) -> dict[str, Any]:
    """The same with how busy the machine was at the end."""
    return {**where, "load_after": round(_load(), 2)}


def fsync_p50_s(folder: Path) -> float:
    """The middle of the times that writing 4 KiB and syncing it takes; microseconds mean that no disk is behind it."""
    path = folder / "sync"
    took = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(bytes(SYNC_BYTES))
            started = perf_counter()
            os.fsync(file.fileno())
            took.append(perf_counter() - started)
    path.unlink()
    return statistics.median(took)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((one.partition(":")[2].strip() for one in lines if one.startswith("model name")), "unknown processor")


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _commit() -> str:
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return f"{head} with changes" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
