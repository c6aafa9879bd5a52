"""Who signed what stands in a log, for the command `audit` and for every process that helps it."""

from collections.abc import Mapping
from typing import Self

import msgspec

from api.cli.audit_places import Credentials
from api.errors import ApiError
from api.verification.bundle_policy import Policy
from api.verification.bundle_statements import signer_of
from api.verification.report import Status, status_of
from ledger.errors import LedgerError, Refused
from ledger.records.actor import Actor
from ledger.records.entry import Entry
from ledger.records.statement import Statement
from pki.errors import PkiError


class SignerUnproven(Refused):
    """Nobody's credential stands behind the statement; `found` says why."""

    code = "verify/signer-unproven"
    title = "Signer is not proven"


class Signers:
    """Who signed: by credentials where certificates are at hand, else as the service wrote down when it took them."""

    def __init__(self, found: Credentials | None, policy: Policy | None, stored: Mapping[str, Actor]) -> None:
        """`stored` are the actors that the service wrote down, by `x5t`. Raises what reading credentials raises.

        Without credentials nobody vouches for anybody.
        """
        self._found = found
        self._policy = policy
        self._stored = stored
        self.directory = None if found is None else found.directory(policy)

    def __reduce__(self) -> tuple[type[Self], tuple[Credentials | None, Policy | None, Mapping[str, Actor]]]:
        """Another process reads the same certificates for itself."""
        return type(self), (self._found, self._policy, self._stored)

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
