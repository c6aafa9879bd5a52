"""The service audits its own log every so often, as an auditor would: in its own process, at the lowest priority."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import structlog

from api import telemetry
from api.verification.bundle_policy import Policy, encode_policy
from api.verification.report import EXIT_CODES, Exit, Status
from ledger.audit.report import AuditFailed

STOP_TIMEOUT_S: Final = 5.0
SHOWN: Final = 20
"""Findings that go to the log of the service; the command shows all."""

PROGRAM: Final = "import os; os.nice(19); from api.cli.entry import main; main()"

log = structlog.get_logger()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report, as the command prints it."""

    status: Status
    code: str
    detail: str
    where: dict[str, str | int] = {}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What `flexledger audit --json` prints, as far as it is looked at here."""

    outcome: Exit
    lines: tuple[Found, ...] = ()
    counts: dict[str, int] = {}
    code: str = ""


class SelfAudit:
    """Runs the command; what it last found is what `require_clean` says."""

    def __init__(
        self,
        data_dir: Path,
        *,
        policy: Callable[[], Policy],
        state: Path | None = None,
        dsn_file: Path | None = None,
        schema: str = "",
    ) -> None:
        """`policy` says what is trusted, `state` the signer's memory; `dsn_file` names the server, if there is one."""
        self._data_dir = data_dir
        self._server = [] if dsn_file is None else ["--dsn-file", str(dsn_file), "--schema", schema]
        self._policy = policy
        self._state = state
        self._found: AuditFailed | None = None

    def require_clean(self) -> None:
        """Raises AuditFailed, naming the first finding, if the last audit that could be made had one."""
        if self._found is not None:
            raise self._found

    async def watch(self, every_s: float) -> None:
        """Audits again and again, for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.once()

    async def once(self) -> Exit:
        """Audits now; the answer is in the metrics, in the log, and in `require_clean` afterwards."""
        with tempfile.TemporaryDirectory(prefix="flexledger-audit-") as folder:
            policy = Path(folder) / "policy.json"
            policy.write_bytes(encode_policy(self._policy()))
            output = await _output(self._words(policy))
        try:
            answer = msgspec.json.decode(output, type=Answer)
        except msgspec.MsgspecError:
            answer = Answer(outcome=Exit.UNUSABLE, code="ledger/audit-worker-lost")
        self._judge(answer)
        return answer.outcome

    def _words(self, policy: Path) -> Sequence[str]:
        kept = [] if self._state is None or not self._state.is_file() else ["--checkpoint", str(self._state)]
        return ["audit", str(self._data_dir), "--policy", str(policy), "--jobs", "1", "--json", *self._server, *kept]

    def _judge(self, answer: Answer) -> None:
        refuted = [line for line in answer.lines if line.status is Status.REFUTED]
        count = answer.counts.get(Status.REFUTED, 0)
        telemetry.SELF_AUDITS.labels(result=answer.outcome.value).inc()
        telemetry.SELF_AUDIT_FINDINGS.set(count)
        if answer.outcome is Exit.UNUSABLE:
            log.error("the log could not be audited", code=answer.code)
            return
        self._found = None
        if not refuted:
            log.info("the log was audited", reason=answer.outcome.value)
            return
        first = next((line for line in refuted if "index" in line.where), refuted[0])
        self._found = AuditFailed(f"{first.code}: {first.detail}", expected="no findings", found=count, **first.where)
        for line in refuted[:SHOWN]:
            where = {name: value for name, value in line.where.items() if name in ("index", "stream", "seq", "file")}
            log.error("the audit found a fault", code=line.code, count=count, **where)


async def _output(words: Sequence[str]) -> bytes:
    """What the command printed; it ends with this task, whatever happens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
    )
    try:
        output, _ = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return output if process.returncode in EXIT_CODES.values() else b""
