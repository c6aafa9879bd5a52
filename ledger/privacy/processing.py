"""Papers for whoever answers for the processing, made from the marks and the vault: GDPR Art. 30 and Art. 33(3).

They say what this software knows. Whether that is complete, and what follows from it, is for a person to say: this is
not legal advice.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ledger.privacy.exports.policies import PolicyFile
from ledger.privacy.exports.policy import ProvablePolicy
from ledger.privacy.vault import Vault
from ledger.records import marks, record, registry

CAVEAT: Final = (
    "Made from the marks of this software's records. Not legal advice: check it against your contracts, your national "
    "law and what you do beside this software."
)
PURPOSES: Final[Mapping[marks.Category, str]] = {
    marks.Category.IDENTITY: "to know whose data is whose",
    marks.Category.CONTRACT: "to perform flexibility service contracts, and to show that they were agreed",
    marks.Category.VEHICLE: "to check that a vehicle may take part",
    marks.Category.LOCATION: "to dispatch at the right EVSE and to settle",
    marks.Category.TIME: "to show when a service was delivered",
    marks.Category.METER: "to prove and settle delivered energy",
    marks.Category.BEHAVIOUR: "to respect opt decisions and to show that they were respected",
    marks.Category.CREDENTIAL: "to verify a person's own statement",
    marks.Category.STAFF: "to show who acted for the operator",
}
"""What each category is kept for, in one sentence."""

MEASURES: Final = (
    "Values stand in the log as salted digests only; the vault holds them encrypted (AES-256-GCM) under two keys.",
    "Keys are wrapped under a key ring that is in no database and no backup of it.",
    "Erasure destroys keys and rows, and is recorded with a Merkle root; restored backups are erased again at start.",
    "Pseudonyms differ for each recipient, purpose and epoch; re-identification needs two persons in two roles.",
    "Every export is recorded before it is released.",
)


def activities() -> list[dict[str, Any]]:
    """One line for each category of personal data: its members, how long each is kept, and what for (Art. 30(1))."""
    found: dict[marks.Category, list[dict[str, Any]]] = defaultdict(list)
    for kind in registry.kinds():
        for name, mark in sorted(record.personal_marks(kind).items()):
            found[mark.category].append(
                {
                    "record": kind.TYPE,
                    "member": name,
                    "kind": mark.kind,
                    "retention": mark.retention,
                    "portable": mark.portable,
                }
            )
    return [
        {
            "category": category.value,
            "purpose": PURPOSES[category],
            "retention": sorted({one["retention"] for one in members}),
            "members": members,
        }
        for category, members in sorted(found.items())
    ]


def record_of_processing(controller: str, policies: Iterable[PolicyFile]) -> dict[str, Any]:
    """The record of processing activities (Art. 30(1)) of one controller, as far as this software knows it."""
    return {
        "caveat": CAVEAT,
        "controller": controller,
        "data_subjects": ["EV users and contract holders"],
        "activities": activities(),
        "recipients": [
            {
                "policy": one.name,
                "purpose": one.purpose.value,
                "legal_basis": one.legal_basis.value,
                "records": list(one.records),
                "form": "pseudonymised, provable" if isinstance(one.policy, ProvablePolicy) else "generalised",
                "delete_after_days": one.policy.keep_days,
                "reviewed": one.reviewed,
            }
            for one in sorted(policies, key=lambda one: one.name)
        ],
        "transfers_to_third_countries": "not known to this software",
        "measures": list(MEASURES),
    }


def breach_scope(
    vault: Vault, *, recipient: str | None = None, from_ms: int | None = None, until_ms: int | None = None
) -> dict[str, Any]:
    """What a breach could have reached (Art. 33(3)(a)): counts, never names.

    Without `recipient` it is the whole vault, as it is now; with it, what that recipient was given in exports, of the
    window if there is one.
    """
    about: dict[str, Any] = {
        "caveat": CAVEAT,
        "at_ms": vault.clock.now_ms(),
        "key_epoch": vault.keys.epoch,
        "key_epochs_that_exist": list(vault.keys.epochs()),
    }
    if recipient is None:
        return {**about, "of": "the vault", **_vault(vault)}
    return {**about, "of": "exports", "recipient": recipient, **_exports(vault, recipient, from_ms, until_ms)}


def _vault(vault: Vault) -> dict[str, Any]:
    rows = vault.database.rows(
        "SELECT category, count(*), count(DISTINCT uid) FROM ("
        "SELECT category, uid FROM facet UNION ALL SELECT category, uid FROM attachment) AS kept "
        "GROUP BY category ORDER BY category"
    )
    subjects = vault.database.scalar("SELECT count(*) FROM subject WHERE tag IS NOT NULL")
    return {
        "subjects": int(subjects),
        "categories": [{"category": row[0], "values": int(row[1]), "subjects": int(row[2])} for row in rows],
        "is_readable_without_the_key_ring": False,
    }


def _exports(vault: Vault, recipient: str, from_ms: int | None, until_ms: int | None) -> dict[str, Any]:
    window = (recipient, 0 if from_ms is None else from_ms, 2**53 if until_ms is None else until_ms)
    rows = vault.database.rows(
        "SELECT manifest, profile, purpose, min(at_ms), count(DISTINCT uid) FROM disclosed "
        "WHERE recipient = ? AND at_ms BETWEEN ? AND ? GROUP BY manifest, profile, purpose ORDER BY 4, 1",
        window,
    )
    subjects = vault.database.scalar(
        "SELECT count(DISTINCT uid) FROM disclosed WHERE recipient = ? AND at_ms BETWEEN ? AND ?", window
    )
    return {
        "subjects": int(subjects),
        "exports": [
            {
                "manifest_sha256": row[0],
                "profile": row[1],
                "purpose": row[2],
                "disclosed_at_ms": int(row[3]),
                "subjects": int(row[4]),
            }
            for row in rows
        ],
    }
