"""The service audits its own log: in a process of its own, and what it finds is known to who watches the service."""

import asyncio
import shutil
from pathlib import Path

import pytest

from api import telemetry
from api.flows.self_audit import SelfAudit
from api.verification.bundle import open_bundle
from api.verification.bundle_policy import policy_of
from api.verification.report import Exit
from ledger.audit.report import AuditFailed
from tests.support import attacks, logs
from tests.support.bundles import Story

pytestmark = pytest.mark.slow


@pytest.fixture
def service(story: Story, tmp_path: Path) -> Path:
    """A service's folder: data and pki."""
    shutil.copytree(story.folder, tmp_path / "data")
    shutil.copytree(story.output / "ca", tmp_path / "pki")
    return tmp_path


def auditing(story: Story, service: Path) -> SelfAudit:
    return SelfAudit(
        service / "data", policy=lambda: policy_of(open_bundle(story.settled)), state=service / "log.state"
    )


def findings() -> float:
    return telemetry.SELF_AUDIT_FINDINGS._value.get()


async def test_a_clean_log_is_ready(story: Story, service: Path) -> None:
    audit = auditing(story, service)
    assert await audit.once() is Exit.VERIFIED
    audit.require_clean()
    assert findings() == 0


async def test_a_tampered_row_is_an_alarm_until_an_audit_is_clean(story: Story, service: Path) -> None:
    shutil.copy(service / "data" / "ledger.db", service / "kept.db")
    with logs.unfenced(service / "data" / "ledger.db") as db:
        attacks.body(db, 5)
    audit = auditing(story, service)
    assert await audit.once() is Exit.REFUTED
    assert findings() > 0
    with pytest.raises(AuditFailed) as failed:
        audit.require_clean()
    assert failed.value.where["index"] == 5
    shutil.copy(service / "kept.db", service / "data" / "ledger.db")
    assert await audit.once() is Exit.VERIFIED
    audit.require_clean()


async def test_an_audit_that_cannot_be_made_is_no_finding(story: Story, service: Path) -> None:
    audit = auditing(story, service)
    (service / "data" / "ledger.db").write_bytes(b"not a database")
    assert await audit.once() is Exit.UNUSABLE
    audit.require_clean()


async def test_it_is_done_every_so_often_and_stops_with_the_service(story: Story, service: Path) -> None:
    audit = auditing(story, service)
    task = asyncio.create_task(audit.watch(0.0))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
