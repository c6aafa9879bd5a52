"""Who signed what stands in a log, for the command `audit` and for every process that helps it."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
from cryptography import x509

from api.cli.audit_places import Credentials
from api.errors import ApiError
from api.verification import log_roots
from api.verification.bundle_policy import Policy
from api.verification.bundle_statements import signer_of
from api.verification.errors import RootUnknown
from api.verification.log_roots import LogRoots, RootsUnreached, Told
from api.verification.report import Status, status_of
from ledger.errors import LedgerError, Refused
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.records.log import RootAdopted
from ledger.records.statement import Statement
from pki import vouching
from pki.errors import PkiError


class SignerUnproven(Refused):
    """Nobody's credential stands behind the statement; `found` says why."""

    code = "verify/signer-unproven"
    title = "Signer is not proven"


class Signers:
    """Who signed: by credentials where certificates are at hand, else as the service wrote down when it took them."""

    def __init__(
        self,
        found: Credentials | None,
        policy: Policy | None,
        stored: Mapping[str, Actor],
        origin: str = "",
        changes: Sequence[Told] = (),
    ) -> None:
        """`stored` are the actors that the service wrote down, by `x5t`; `changes` are those of the log's roots.

        Without credentials nobody vouches for anybody. Raises what reading credentials raises, and `RootUnknown` and
        `RootsUnreached` where the log has roots that are not at hand, or that nobody trusted vouches for.
        """
        self._arguments = (found, policy, stored, origin, changes)
        self._stored = stored
        self.roots = LogRoots(origin, ())
        self.directory = None
        if found is not None:
            known = [*found.own_roots(), *(() if policy is None else policy.anchors().certificates)]
            self.roots = _roots(origin, known, changes) if known else self.roots
            self.directory = found.directory(policy, self.roots)

    def __reduce__(self) -> tuple[type[Self], tuple[Any, ...]]:
        """Another process reads the same certificates for itself."""
        return type(self), self._arguments

    @property
    def can_resolve(self) -> bool:
        """Whether signatures can be looked at at all."""
        return self.directory is not None or bool(self._stored)

    def resolve(self, x5t: str, entry: Entry) -> Actor:
        """The actor behind a statement; raises a LedgerError with the code of what is wrong with the credential."""
        if self.directory is None:
            if x5t not in self._stored:
                raise SignerUnproven("the service knows no such signer", found=x5t)
            return self._stored[x5t]
        try:
            return signer_of(self.directory, x5t, entry)
        except (PkiError, ApiError) as error:
            wrapped = SignerUnproven(error.detail, expected=error.expected, found=error.found)
            wrapped.code = error.code if status_of(error) is Status.REFUTED else SignerUnproven.code  # type: ignore[misc]
            raise wrapped from error

    def actor(self, opened: Statement, entry: Entry) -> Actor:
        """The same for the rules, which go on past an unproven signer with whom the entry names."""
        try:
            return self.resolve(opened.header.x5t, entry)
        except LedgerError:
            stored = self._stored.get(opened.header.x5t)
            role = entry.sub.role
            return stored or msgspec.convert(
                {"party": opened.claims.iss, "role": role, "key_spki": "", "x5t": opened.header.x5t, "tbs_sha256": ""},
                Actor,
            )


def _roots(origin: str, known: Sequence[x509.Certificate], changes: Sequence[Told]) -> LogRoots:
    """The log's roots; `RootUnknown` only where a root that is at hand might yet vouch for one that is not."""
    try:
        return log_roots.folded(origin, known, changes)
    except RootUnknown as error:
        if any(isinstance(one.record, RootAdopted) for one in changes):
            raise
        own = ", ".join(sorted(vouching.digest(root)[:16] for root in known))
        raise RootsUnreached("the log has other roots", expected=own, found=error.expected) from error
