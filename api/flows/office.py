"""The certificate office: issues, renews and revokes credentials; the log knows before anybody else does.

Acts have their turn in the order in which they were asked for. Issuances overlap with one another, so that their syncs
to disk are shared: what no two of them may pass at once, the store decides in one transaction. Everything else, a
revocation above all, is done alone. Who has to wait longer than the queue is long is told to come back.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from cryptography import x509

from api import telemetry
from api.flows import office_lists
from api.flows.desk import Desk
from api.flows.office_errors import CredentialNotFound, OfficeBusy
from api.flows.office_journal import LedgerJournal
from api.flows.office_turns import Turns
from api.issuing import Issuing
from ledger.clock import Clock, SystemClock
from pki import issuance, profiles
from pki.authority import Authority, Subscriber
from pki.csr import OpenedCsr
from pki.errors import PkiError
from pki.lint import second_opinion
from pki.roles import Purpose, Role
from pki.status import MAX_CRLS, StatusSet
from pki.store.codes import CodeStore
from pki.store.records import CertificateStore, Issued, Reason, Revocation

TLS: Final = frozenset({Purpose.TLS_CLIENT, Purpose.TLS_SERVER})
PERSONS_KEPT_MS: Final = 7 * profiles.DAY_MS
TOGETHER: Final = 32
"""Issuances that are under way at once: more wait longer for the processor than they gain at the disk."""
LIST_CHECK_S: Final = 600.0
"""How often the office looks whether a revocation list has to be made anew."""

T = TypeVar("T")
log = structlog.get_logger()


class Office:
    """The office of one service. `start` before use, `close` after."""

    def __init__(self, desk: Desk, issuing: Issuing, *, crl_dir: Path, queue: int) -> None:
        self.desk = desk
        self.journal = LedgerJournal(desk)
        opinion = second_opinion.installed()
        # Each authority tells the log, certifies no blocked key, and asks pkilint where it is installed.
        self.hierarchy = issuing.hierarchy.with_each(
            lambda one: replace(one, journal=self.journal, blocked=issuing.blocked, second_opinion=opinion)
        )
        self.store: CertificateStore = issuing.store
        self.listing = issuing.listing
        self._codes = issuing.codes
        self.machine_clock: Clock = SystemClock()
        self._crl_dir = crl_dir
        self._queue = queue
        self._waiting = 0
        self._turns = Turns(TOGETHER)
        self._acts: set[asyncio.Task[Any]] = set()
        self._threads = ThreadPoolExecutor(TOGETHER, thread_name_prefix="office")

    # Times

    def now_ms(self, purpose: Purpose | None) -> int:
        """Credentials of connections live in the machine's time, all others in that of the business."""
        return (self.machine_clock if purpose in TLS else self.desk.clock).now_ms()

    def moments_ms(self) -> tuple[int, ...]:
        """The times for which revocation lists are needed now: one, or two where the business has a time of its own."""
        return tuple(sorted({self.desk.clock.now_ms(), self.machine_clock.now_ms()}))

    def issuers(self) -> list[Authority]:
        """The issuing authorities, and those before them that still answer for what they issued."""
        return [one for one in self.hierarchy.authorities() if one.group is not None]

    # Issuing

    def authority_of(self, role: Role) -> Authority:
        """The authority that issues for `role`."""
        return self.hierarchy.authority_of(role)

    async def issue(
        self,
        csr: OpenedCsr,
        role: Role,
        purpose: Purpose,
        subscriber: Subscriber,
        *,
        not_after_ms: int | None = None,
        guard: Callable[[], None] = lambda: None,
    ) -> x509.Certificate:
        """A certificate for the key in `csr`, on record and in the store; raises what `Authority.issue` raises.

        `guard` is asked when it is this one's turn, after every revocation that was asked for before; what it raises is
        raised, and nothing is issued.
        """
        profile = profiles.get(role, purpose)
        authority = self.authority_of(role)

        def act() -> x509.Certificate:
            guard()
            # The time of its turn, not that of asking: nothing that was done before it is later.
            now_ms = self.now_ms(purpose)
            return authority.issue(
                csr, profile=profile, subscriber=subscriber, now_ms=now_ms, not_after_ms=not_after_ms
            )

        certificate = await self.work(act, together=True)
        telemetry.CREDENTIALS_ISSUED.labels(profile.name).inc()
        return certificate

    def chain_of(self, role: Role) -> tuple[x509.Certificate, ...]:
        """What stands between a certificate of `role` and the root."""
        return (self.authority_of(role).certificate,)

    # Revoking

    async def revoke(self, held: Issued, reason: Reason, *, invalid_from_ms: int | None = None) -> Revocation:
        """The certificate is revoked for ever: in the log first, then in the store, then in the lists that are served.

        With `invalid_from_ms`, its key was not to be trusted from that earlier time on; `InvalidityRefused`.
        Everything that was proven before is proven anew, so its holder is refused from here on. A revocation that
        stands already stays as it is; its lists are made again all the same.
        """
        authority = self._issuer_of(held)

        def act() -> tuple[Revocation, int]:
            withdraw_codes(self._codes, held, reason)
            at_ms = self.now_ms(held.purpose)
            return authority.revoke(held.serial, reason, at_ms, invalid_from_ms=invalid_from_ms), at_ms

        standing, at_ms = await self.work(act)
        # At once and whatever becomes of the lists: this process refuses it from here on.
        self.desk.directory.revoke(held.issuer_key_sha256, held.serial, standing.revoked_at_ms)
        telemetry.CREDENTIALS_REVOKED.labels(standing.reason.value).inc()
        await self.publish([authority], [at_ms])
        return standing

    async def settle(self) -> None:
        """What was interrupted between intent and issuance is settled: told to the log, or revoked as a precaution.

        It is done alone, so nothing of this process is under way meanwhile.
        """
        repaired = await self.work(
            lambda: issuance.repair(self.store, self.journal, now_ms=self.machine_clock.now_ms(), patience_ms=None)
        )
        for revocation in repaired.revoked:
            self.desk.directory.revoke(revocation.issuer_key_sha256, revocation.serial, revocation.revoked_at_ms)
        named = {revocation.issuer_key_sha256 for revocation in repaired.revoked}
        behind = [one for one in self.hierarchy.issuing.values() if one.key_sha256 in named]
        if behind:
            await self.publish(behind, list(self.moments_ms()))
        telemetry.CREDENTIAL_GAPS.set(len(self.desk.state.credentials.gaps()))

    def _issuer_of(self, held: Issued) -> Authority:
        for authority in self.issuers():
            if authority.key_sha256 == held.issuer_key_sha256:
                return authority
        raise CredentialNotFound("it was issued by no authority of this office", serial=f"{held.serial:040x}")

    # Forgetting

    def forget_person(self, party_id: str) -> None:
        """No certificate of the person is kept here any longer; what the log says of them names nobody."""
        self.store.forget(Role.EVU, party_id=party_id)
        self._codes.forget(self.machine_clock.now_ms(), party_id=party_id)

    def forget_ended(self) -> None:
        """Persons' certificates are kept no longer than a week beyond their end, codes not beyond it."""
        self._codes.forget(self.machine_clock.now_ms())
        self.store.forget(Role.EVU, ended_before_ms=min(self.moments_ms()) - PERSONS_KEPT_MS)

    # Revocation lists

    async def publish(self, authorities: list[Authority], at_ms: list[int]) -> None:
        """A new list of each authority as of each time, in force here and in the folder of the lists."""
        directory = self.desk.directory
        lists = await self.work(lambda: _lists(authorities, at_ms, directory.status))
        await self.work(lambda: office_lists.write(self._crl_dir, lists))
        if len(directory.status.digests()) + len(lists) > MAX_CRLS:
            directory.status = StatusSet(office_lists.read(self._crl_dir))
        for der in lists:
            directory.status.add(der)
        directory.evidence_moved()

    async def renew_lists(self) -> None:
        """Every authority has a list in force that is not yet in the second half of its life."""
        for moment in self.moments_ms():
            due = [
                one
                for one in self.issuers()
                if office_lists.is_due(self.desk.directory.status, one.certificate, moment)
            ]
            if due:
                await self.publish(due, [moment])

    async def watch(self) -> None:
        """Renews the lists for as long as the service runs."""
        while True:
            try:
                await self.renew_lists()
                await self.settle()
                self.forget_ended()
            except (PkiError, OSError, OfficeBusy) as error:
                log.error("revocation list not renewed", error=type(error).__name__)
            await asyncio.sleep(LIST_CHECK_S)

    # Turns

    async def work(self, act: Callable[[], T], *, together: bool = False) -> T:
        """What `act` gives, done in its turn on a thread of the office; raises `OfficeBusy` when too many wait already.

        It is done alone, or `together` with others that may. Who stops waiting does not stop the act: it is in the log,
        and it is finished.
        """
        if self._waiting >= self._queue:
            raise OfficeBusy("too many wait for the office", expected=f"at most {self._queue}")
        self._waiting += 1
        acting = asyncio.ensure_future(self._act(act, together))
        self._acts.add(acting)
        acting.add_done_callback(self._done)
        return await asyncio.shield(acting)

    async def _act(self, act: Callable[[], T], together: bool) -> T:
        async with self._turns.turn(together=together):
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)

    def _done(self, acting: "asyncio.Task[Any]") -> None:
        self._waiting -= 1
        self._acts.discard(acting)
        if not acting.cancelled():
            acting.exception()  # whoever waited has it; whoever left does not want it

    async def close(self) -> None:
        """What was begun is finished; nothing is begun any more."""
        self._queue = 0
        if self._acts:
            await asyncio.wait(self._acts)
        await asyncio.to_thread(self._threads.shutdown)


def withdraw_codes(codes: CodeStore, held: Issued, reason: Reason) -> int:
    """Whoever loses a credential loses the codes with which it could fetch others, but for one that is only replaced.

    Before the revocation: if that fails, the codes are made again, and if it stands, none is left. How many there were.
    """
    if reason is Reason.SUPERSEDED or held.role is None or held.party_id is None:
        return 0
    return codes.withdraw_of(held.role, held.party_id, held.station_id)


def _lists(authorities: list[Authority], at_ms: list[int], status: StatusSet) -> list[bytes]:
    """New lists, which `status` has checked already: a large one would take too long on the event loop."""
    lists = []
    for moment in at_ms:
        for one in authorities:
            lists.append(one.crl(moment))
            status.prepare(lists[-1], one.certificate)
    return lists
