"""A log changes its key while it runs, ends, and is continued by another one: by command, and in every wrong order."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import structlog
from click.testing import Result
from typer.testing import CliRunner

from api import engines
from api.cli import init
from api.cli.main import app
from api.flows import log_end
from api.flows.service import Service, open_service
from api.key_files import read_log_keys, retire_log_key
from api.settings import Settings, load
from api.verification.bundle_policy import Policy, encode_policy
from ledger.clock import SystemClock
from ledger.records import entry as entries
from ledger.records.log import FreezeReason, LogFrozen
from ledger.records.privacy import ErasureBasis, RefusalGround
from ledger.records.sites import SessionMirrored
from ledger.rules.errors.log import LogIsFrozen
from ledger.tlog import checkpoint, note
from ledger.tlog.checkpoint import Checkpoint
from ledger.tlog.note import Cosigner, NoteSigner
from ledger.witness.cosign import Witness
from ledger.witness.gather import HttpAnswer, WitnessAhead
from ledger.witness.memory import WitnessMemory
from pki import ceremony
from tests.support import rulebook
from tests.unit.api.cli.test_doctor import SPEC

ORIGIN = "ledger.example/q4"
NEXT = "ledger.example/q1"
DAY_MS = 24 * 3_600_000

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.slow]  # takes seconds


def invoke(*words: str | Path) -> Result:
    """What the command did; it sends the log of its service to the standard error of that moment."""
    try:
        return CliRunner().invoke(app, [str(word) for word in words])
    finally:
        structlog.reset_defaults()


def run(*words: str | Path) -> tuple[int, str]:
    result = invoke(*words)
    return result.exit_code, result.output


@dataclass
class Port:
    """A service that was laid out, with a clock in a file."""

    folder: Path
    clock: Path

    @property
    def config(self) -> Path:
        return self.folder / init.CONFIG

    @property
    def settings(self) -> Settings:
        return load(self.config, {})

    @property
    def key_file(self) -> Path:
        return self.folder / "keys" / "log.key"

    def held(self) -> list[NoteSigner]:
        return [NoteSigner.load(line.split()[0]) for line in self.key_file.read_text().splitlines()]

    def later(self, by_ms: int) -> None:
        self.clock.write_text(str(int(self.clock.read_text()) + by_ms))

    @asynccontextmanager
    async def running(self, witness: "Watching | None" = None) -> AsyncIterator[Service]:
        settings = self.settings
        opened = engines.open_engines(settings, create=not engines.is_begun(settings))
        async with open_service(settings, opened, None, ask=None if witness is None else witness.post) as service:
            yield service

    def policy(self, *, others: str = "") -> Path:
        """What an auditor brings along: the log's keys and the root."""
        first, *later = (self.folder / "data" / "vkey").read_text().split()
        lines = "".join(f"log {vkey}\n" for vkey in later) + others
        found = Policy(
            vkey=first,
            roots=((self.folder / "pki" / "root.pem").read_text(),),
            development=True,
            witnesses=lines + "quorum none\n" if lines else "",
        )
        path = self.folder / "policy.json"
        path.write_bytes(encode_policy(found))
        return path


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    now_ms = SystemClock().now_ms()
    made = ceremony.perform(SPEC, tls_now_ms=now_ms, signing_now_ms=now_ms)
    folder = tmp_path_factory.mktemp("life")
    for name, origin in (("old", ORIGIN), ("new", NEXT)):
        init.lay_out(folder / name, made, party="FI-NGC", origin=origin, clock_file=Path("clock"))
        (folder / name / "clock").write_text(str(now_ms))
    return folder


@pytest.fixture
def port(pristine: Path, tmp_path: Path) -> Port:
    shutil.copytree(pristine / "old", tmp_path / "old")
    return Port(tmp_path / "old", tmp_path / "old" / "clock")


@pytest.fixture
def successor(pristine: Path, tmp_path: Path) -> Port:
    shutil.copytree(pristine / "new", tmp_path / "new")
    return Port(tmp_path / "new", tmp_path / "new" / "clock")


class Watching:
    """One witness, in this process."""

    def __init__(self, folder: Path, port: Port) -> None:
        self.cosigner = Cosigner.generate("witness.example/w", SystemClock())
        self.memory = WitnessMemory.open(folder / "witness.db", create=True)
        self.logs = {ORIGIN: [one.verifier for one in port.held()]}
        self.size_said: int | None = None
        (port.folder / "witnesses.policy").write_text(f"witness w {self.cosigner.vkey} http://w.example\nquorum w\n")
        port.config.write_text(port.config.read_text() + '\n[witnesses]\npolicy = "witnesses.policy"\n')

    async def post(self, url: str, request: bytes) -> HttpAnswer:
        if self.size_said is not None:
            return HttpAnswer(409, "text/x.tlog.size", f"{self.size_said}\n".encode())
        answer = Witness([self.cosigner], self.logs, self.memory).add_checkpoint(request)
        return HttpAnswer(answer.status, answer.content_type, answer.body)


async def beside(*words: str | Path) -> tuple[int, str]:
    """A command that has an event loop of its own."""
    return await asyncio.to_thread(run, *words)


def audited(*words: str | Path) -> None:
    code, text = run("audit", *words)
    assert code == 0, text


def lines_of(signed: bytes) -> set[int]:
    return {line.key_id for line in note.parse(signed).signatures}


async def until(is_so: Callable[[], bool]) -> None:
    """Waits until it is; the service looks at its file and publishes once a second."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 -- the service has no event for it
            await asyncio.sleep(0.05)


async def test_a_running_service_takes_its_next_key_and_the_old_one_is_retired_when_the_overlap_is_over(
    port: Port,
) -> None:
    (old,) = port.held()
    async with port.running() as service:
        code, text = await beside("log", "rotate-key", port.config, "--overlap-days", "1")
        assert code == 0, text
        _, new = port.held()
        assert new.vkey in text
        await until(lambda: len(lines_of(service.publisher.latest())) == 2)
        signed = service.publisher.latest()
        for known in (old, new):
            checkpoint.open_checkpoint(signed, ORIGIN, [known.verifier])
        (announced,) = service.desk.state.rotations
        assert (announced.vkey, announced.follows) == (new.vkey, old.vkey)
        assert announced.until_ms == int(port.clock.read_text()) + DAY_MS
        assert service.engines.log_keys.vkeys() == (old.vkey, new.vkey)
    code, text = run("log", "retire-key", port.config)
    assert (code, "api/key-overlap-running" in text) == (2, True)
    port.later(DAY_MS)
    assert run("log", "retire-key", port.config)[0] == 0
    assert [one.vkey for one in port.held()] == [new.vkey]
    assert port.key_file.stat().st_mode & 0o077 == 0
    async with port.running() as service:
        await service.desk.say(rulebook.site(), "site/DEPOT-7")
        assert lines_of(await service.publisher.publish()) == {new.verifier.key_id}
    audited(port.config, "--policy", port.policy())
    audited(port.folder)
    assert run("doctor", port.config)[0] == 0


def test_a_key_file_that_is_a_link_is_changed_where_it_leads(port: Port) -> None:
    real = port.key_file.with_name("elsewhere.key")
    port.key_file.rename(real)
    port.key_file.symlink_to(real.name)
    assert run("log", "rotate-key", port.config)[0] == 0
    assert port.key_file.is_symlink()
    assert len(read_log_keys(real).signers) == 2
    retire_log_key(port.key_file)
    assert len(read_log_keys(real).signers) == 1


def test_two_changes_of_key_at_once_and_a_change_that_was_never_used_are_refused(port: Port) -> None:
    code, text = run("log", "retire-key", port.config)
    assert (code, "api/key-rotation-none" in text) == (2, True)
    assert run("log", "rotate-key", port.config)[0] == 0
    before = port.key_file.read_text()
    code, text = run("log", "rotate-key", port.config)
    assert (code, "api/key-rotation-open" in text) == (2, True)
    # Nobody has ever seen a signature of the new key: the old one is all that others can check.
    for words in ((), ("--now",)):
        code, text = run("log", "retire-key", port.config, *words)
        assert (code, "api/key-not-in-use" in text) == (2, True)
    assert port.key_file.read_text() == before
    assert not [line for line in before.splitlines() if line in run("log", "rotate-key", port.config)[1]]


@pytest.mark.parametrize(
    "text", ["", "no key\n", "{0}\n{0}\n", "{0}\n{1} soon\n", "{0}\n{1} 0\n", "{0}\n{1} 9999999999999\n"]
)
def test_a_key_file_with_anything_else_in_it_opens_no_service(port: Port, text: str) -> None:
    fresh = NoteSigner.generate(ORIGIN)
    port.key_file.write_text(text.format(port.held()[0].dump(), fresh.dump()))
    with pytest.raises(Exception, match="key") as refused:
        engines.open_engines(port.settings, create=True)
    assert getattr(refused.value, "code", "").startswith("ledger/" if text else "api/key-file-unfit")
    assert fresh.dump() not in str(refused.value)


async def test_a_key_file_that_goes_bad_under_a_running_service_changes_nothing(port: Port) -> None:
    async with port.running() as service:
        kept = service.engines.log_keys.held
        port.key_file.write_text("scrambled\n")
        await service.desk.say(rulebook.site(), "site/DEPOT-7")
        size = service.desk.appender.head.size
        await until(lambda: service.publisher.signed_size() >= size)
        assert service.engines.log_keys.held == kept


async def test_a_frozen_log_is_read_and_not_written_and_freezing_again_changes_nothing(port: Port) -> None:
    async with port.running():
        pass
    freezing = ("log", "freeze", port.config, "--reason", "period-end", "--out", port.folder / "last")
    done = await asyncio.to_thread(invoke, *freezing)
    assert done.exit_code == 0, done.output
    # What the service logged meanwhile is not among what the command says.
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == [
        f"{ORIGIN} has ended",
        f"  its last checkpoint is in {port.folder / 'last'}; give it to everybody, and to the log that continues this one",
    ]
    last = (port.folder / "last").read_bytes()
    async with port.running() as service:
        assert service.desk.state.frozen_at == service.desk.appender.head.size - 1
        size = service.desk.appender.head.size
        with pytest.raises(LogIsFrozen):
            await service.desk.say(rulebook.site(), "site/DEPOT-7")
        with pytest.raises(LogIsFrozen):
            await service.desk.say(LogFrozen(reason=FreezeReason.CLOSED), "log/end")
        # Not even the refusal is written down.
        assert service.desk.appender.head.size == size
        assert service.reader.checkpoint() == last
        assert (await log_end.freeze(service, FreezeReason.CLOSED)).was_frozen
        assert service.desk.appender.head.size == size
    code, text = await beside("log", "freeze", port.config, "--reason", "closed", "--out", port.folder / "again")
    assert (code, "has ended before" in text) == (0, True)
    assert (port.folder / "again").read_bytes() == last
    audited(port.config)


def test_what_cannot_be_frozen_is_left_alone(port: Port) -> None:
    (port.folder / "taken").write_text("mine")
    for words in (
        ("--reason", "period-end", "--out", port.folder / "taken"),
        ("--reason", "whatever", "--out", port.folder / "last"),
        ("--reason", "closed", "--out", port.folder / "last"),
    ):
        code, _ = run("log", "freeze", port.config, *words)
        assert code == 2
        assert not (port.folder / "last").exists()
    assert (port.folder / "taken").read_text() == "mine"
    assert not (port.folder / "data" / "ledger.db").exists()


async def test_a_log_is_frozen_with_its_quorum_and_not_behind_a_witness_that_is_ahead(
    port: Port, tmp_path: Path
) -> None:
    witness = Watching(tmp_path, port)
    async with port.running(witness) as service:
        witness.size_said = service.desk.appender.head.size + 5
        with pytest.raises(WitnessAhead):
            await log_end.freeze(service, FreezeReason.PERIOD_END)
        assert service.desk.state.frozen_at is None
    witness.size_said = None
    async with port.running(witness) as service:
        ended = await log_end.freeze(service, FreezeReason.PERIOD_END)
        assert ended.quorum is None
        assert lines_of(ended.signed) == {port.held()[0].verifier.key_id, witness.cosigner.verifier.key_id}


async def test_without_its_witnesses_a_log_ends_all_the_same_and_says_what_is_missing(
    port: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_end, "PAUSE_S", 0)
    witness = Watching(tmp_path, port)
    witness.logs = {}
    async with port.running(witness) as service:
        ended = await log_end.freeze(service, FreezeReason.CLOSED)
    assert ended.quorum is not None
    assert ended.quorum.code == "ledger/quorum-missing"
    witness.logs = {ORIGIN: [one.verifier for one in port.held()]}
    async with port.running(witness) as service:
        again = await log_end.freeze(service, FreezeReason.CLOSED)
    assert (again.quorum, again.was_frozen, again.checkpoint) == (None, True, ended.checkpoint)


def continued(successor: Port, port: Port, last: bytes, *, witnesses: bool = False) -> None:
    """The successor's settings name this checkpoint."""
    (successor.folder / "last").write_bytes(last)
    shutil.copy(port.folder / "data" / "vkey", successor.folder / "old.vkey")
    more = f'witnesses = "{port.folder / "witnesses.policy"}"\n' if witnesses else ""
    section = f'\n[predecessor]\ncheckpoint = "last"\nvkeys = "old.vkey"\n{more}'
    successor.config.write_text(successor.config.read_text().partition("\n[predecessor]")[0] + section)


async def test_a_successor_names_its_predecessor_and_an_audit_goes_across_both(
    port: Port, successor: Port, tmp_path: Path
) -> None:
    witness = Watching(tmp_path, port)
    async with port.running(witness) as service:
        ended = await log_end.freeze(service, FreezeReason.PERIOD_END)
    # Without the cosignature that the policy asks for, nothing is begun.
    alone = note.parse(ended.signed)
    own = "".join(line.line() for line in alone.signatures if line.name == ORIGIN)
    continued(successor, port, (alone.text + "\n" + own).encode(), witnesses=True)
    with pytest.raises(Exception, match="too few witnesses") as refused:
        async with successor.running():
            raise AssertionError("it began")
    assert getattr(refused.value, "code", "") == "api/predecessor-unproven"
    continued(successor, port, ended.signed, witnesses=True)
    async with successor.running() as service:
        adopted = service.desk.state
        assert adopted.frozen_at is None
        first = service.reader.entry(0)
    assert b"log.policy-adopted" in first
    vkeys = (port.folder / "data" / "vkey").read_text().split()
    policy = successor.policy(others="".join(f"log {vkey}\n" for vkey in vkeys))
    for words in ((), ("--policy", policy)):
        code, text = run("audit", successor.folder, "--predecessor", port.folder, *words, "--json")
        found = msgspec.json.decode(text)
        told = {(line["check"], line["code"]) for line in found["lines"]}
        assert code == 0, text
        assert ("predecessor", "verify/ok") in told
        assert ("predecessor: log", "verify/ok") in told
        assert ("predecessor", "verify/predecessor-unfrozen") not in told
    # A policy that knows nothing of the old log vouches for nothing, and refutes nothing.
    code, text = run("audit", successor.folder, "--predecessor", port.folder, "--policy", successor.policy(), "--json")
    assert "verify/predecessor-unvouched" in {line["code"] for line in msgspec.json.decode(text)["lines"]}
    assert code == 0
    code, text = run("audit", port.folder, "--predecessor", successor.folder)
    assert (code, "verify/predecessor-unnamed" in text) == (1, True)


def plugged_in(at_ms: int) -> SessionMirrored:
    """A person's car at an EVSE of the site."""
    return SessionMirrored(
        session_id="session-1",
        site_id=rulebook.SITE,
        evse_id=rulebook.EVSES[0],
        evu="evu-1",
        discharge_allowed=True,
        ev_key_spki_sha256="1" * 64,
        ev_firmware_sha256="2" * 64,
        from_ms=at_ms,
        until_ms=at_ms + DAY_MS,
    )


async def test_a_person_is_erased_after_the_log_has_ended_and_its_successor_still_vouches_for_it(
    port: Port, successor: Port
) -> None:
    async with port.running() as service:
        await service.desk.say(rulebook.site(), f"site/{rulebook.SITE}")
        session = plugged_in(int(port.clock.read_text()))
        await service.desk.say(session, f"site/{rulebook.SITE}", subject_of=lambda _part, _name: "evu-1")
        index = service.desk.appender.head.size - 1
        ended = await log_end.freeze(service, FreezeReason.PERIOD_END)
    continued(successor, port, ended.signed, witnesses=False)
    async with successor.running():
        pass
    async with port.running() as service:
        size = service.desk.appender.head.size
        assert (ended.checkpoint.size, service.desk.state.frozen_at) == (size, size - 1)
        whole = service.memory.whole(entries.decode(service.reader.entry(index)))
        assert whole.evu == "evu-1"  # type: ignore[attr-defined]
        await service.privacy.hold("evu-1", RefusalGround.LEGAL_CLAIMS)
        await service.privacy.release_hold("evu-1")
        receipt = await service.privacy.erase("evu-1", ErasureBasis.CONSENT_WITHDRAWN)
        assert receipt.index >= size
        with pytest.raises(LogIsFrozen):
            await service.desk.say(rulebook.site(version=2), f"site/{rulebook.SITE}")
        whole = service.memory.whole(entries.decode(service.reader.entry(index)))
        assert whole.evu == msgspec.UNSET  # type: ignore[attr-defined]
        grown = service.desk.appender.head.size
        await until(lambda: service.publisher.signed_size() >= grown)
    audited(port.config)
    code, text = run("audit", successor.folder, "--predecessor", port.folder, "--json")
    assert code == 0, text
    said = [line["detail"] for line in msgspec.json.decode(text)["lines"] if line["check"] == "predecessor"]
    assert f"{ORIGIN} ends with {size} entries, as the first entry says" in said
    assert f"{grown - size} records of what was done with personal data since, and nothing else, follow there" in said


async def test_after_the_theft_of_a_key_not_even_an_erasure_is_recorded(port: Port) -> None:
    async with port.running() as service:
        await log_end.freeze(service, FreezeReason.KEY_STOLEN)
        size = service.desk.appender.head.size
        for act in (
            service.privacy.erase("evu-1", ErasureBasis.CONSENT_WITHDRAWN),
            service.privacy.hold("evu-1", RefusalGround.LEGAL_CLAIMS),
        ):
            with pytest.raises(LogIsFrozen):
                await act
        assert service.desk.appender.head.size == size


async def test_who_stole_the_key_and_goes_on_with_the_old_log_is_refuted_by_its_successor(
    port: Port, successor: Port, tmp_path: Path
) -> None:
    witness = Watching(tmp_path, port)
    async with port.running(witness):
        pass
    shutil.copytree(port.folder, tmp_path / "stolen")
    async with port.running(witness) as service:
        ended = await log_end.freeze(service, FreezeReason.KEY_STOLEN)
    continued(successor, port, ended.signed, witnesses=True)
    async with successor.running():
        pass
    thief = Port(tmp_path / "stolen", tmp_path / "stolen" / "clock")
    # The witness was told to forget the stolen key; the thief's checkpoints are cosigned by nobody.
    witness.logs = {ORIGIN: []}
    async with thief.running(witness) as service:
        for number in range(1, 4):
            await service.desk.say(rulebook.site(version=number), "site/DEPOT-7")
        forged = await service.publisher.publish()
        assert checkpoint.parse(note.parse_text(forged)).size > ended.checkpoint.size
        assert lines_of(forged) == {port.held()[0].verifier.key_id}
    code, text = run("audit", successor.folder, "--predecessor", thief.folder, "--json")
    told = {(line["check"], line["code"]) for line in msgspec.json.decode(text)["lines"]}
    assert code == 1
    assert ("predecessor", "verify/predecessor-differs") in told
    assert ("predecessor", "verify/predecessor-unfrozen") in told


@pytest.mark.parametrize("broken", ["absent", "other-key", "changed", "itself", "no-note"])
async def test_a_predecessor_that_is_not_proven_begins_no_log(port: Port, successor: Port, broken: str) -> None:
    (signer,) = port.held()
    origin = NEXT if broken == "itself" else ORIGIN
    by = NoteSigner.generate(ORIGIN) if broken == "other-key" else signer
    if broken == "itself":
        by = successor.held()[0]
        (port.folder / "data" / "vkey").write_text(by.vkey + "\n")
    last = checkpoint.sign(Checkpoint(origin, 3, b"r" * 32), [by])
    if broken == "changed":
        last = last.replace(b"\n3\n", b"\n4\n")
    continued(successor, port, b"nothing" if broken == "no-note" else last)
    if broken == "absent":
        (successor.folder / "last").unlink()
    with pytest.raises(Exception, match=r".") as refused:
        async with successor.running():
            raise AssertionError("it began")
    assert getattr(refused.value, "code", "") == "api/predecessor-unproven"
    continued(successor, port, checkpoint.sign(Checkpoint(ORIGIN, 3, b"r" * 32), [signer]))
    if broken == "itself":
        return
    async with successor.running() as service:
        assert service.desk.appender.head.size >= 1
