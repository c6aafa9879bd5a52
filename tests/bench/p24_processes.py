"""P24 and P25: whole processes, cold, as a person starts them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from tests.bench import ground
from tests.bench.frame import Goal, Measure, Pair, Row, Scale, time
from tests.support import world as stage

IMPORTS = "import msgspec, cryptography.x509, pyasn1.codec.der.decoder, pyasn1.type.univ"
PROCESS_LIMIT_S = 240
A_MINUTE_S = 60.0


def _process(arguments: Sequence[str], folder: Path) -> Callable[[], float]:
    """Seconds until the process has ended; raises CalledProcessError unless it ended well.

    Both sides have their modules compiled, as an installation does: the round that is not measured compiles them.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}

    def figure() -> float:
        started = perf_counter()
        subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=PROCESS_LIMIT_S,
        )
        return perf_counter() - started

    return figure


@contextmanager
def _verify(scale: Scale) -> Iterator[Pair]:
    folder = scale.fresh()
    with ground.opened(scale, crl_every_ms=stage.HOUR_MS, configured=False) as ours:
        fsc_ids = ours.run(stage.prepare(ours.world))
        played = ours.run(stage.play(ours.world, fsc_ids))
        (folder / "bundle.json").write_bytes(ours.run(ours.world.bundle(played.fsr_id)))
    yield Pair(_process(["-m", "api", "verify", "bundle.json"], folder), _process(["-c", IMPORTS], folder))


@contextmanager
def _demo(scale: Scale) -> Iterator[Pair]:
    run = _process(["-m", "api", "demo"], scale.fresh())
    yield Pair(run, run)


ROWS = (
    Row(
        id="P24",
        what="flexledger verify of a bundle, cold process",
        floor="a process that imports msgspec, cryptography.x509 and pyasn1",
        goal=time(2.0),
        prepare=_verify,
    ),
    Row(
        id="P25",
        what="the demo day, one process with all its servers",
        floor="",
        goal=Goal(Measure.BUDGET, A_MINUTE_S),
        prepare=_demo,
        rounds=1,
        in_quick=False,
    ),
)
