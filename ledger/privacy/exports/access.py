"""What GDPR Art. 15(1) and (2) ask beside the data itself: categories, retention, and who really received what."""

from typing import Any

from ledger.privacy import disclosure_log
from ledger.privacy.vault import Vault


def about(vault: Vault, subject: str) -> dict[str, Any]:
    """The answer for one subject, for `Exporter.make(about=...)`; raises `SubjectUnknown`."""
    uid = vault.uid_of(subject)
    categories = vault.database.rows(
        "SELECT category, retention, sum(facets), sum(attachments) FROM ("
        "SELECT category, retention, 1 AS facets, 0 AS attachments FROM facet WHERE uid = ?1 UNION ALL "
        "SELECT category, retention, 0, 1 FROM attachment WHERE uid = ?1) "
        "GROUP BY category, retention ORDER BY category, retention",
        (uid,),
    )
    return {
        "categories": [
            {"category": row[0], "retention": row[1], "values": row[2], "attachments": row[3]} for row in categories
        ],
        "recipients": [
            {
                "recipient": one.recipient,
                "purpose": one.purpose,
                "profile": one.profile,
                "manifest_sha256": one.manifest_sha256,
                "pseudonym": one.pseudonym,
                "disclosed_at_ms": one.at_ms,
            }
            for one in disclosure_log.of(vault, subject)
        ],
        "rights": [
            "rectification (Art. 16)",
            "erasure (Art. 17)",
            "restriction (Art. 18)",
            "portability (Art. 20)",
            "objection (Art. 21)",
            "complaint to a supervisory authority (Art. 77)",
        ],
        "automated_decisions": "none with legal effect (Art. 22)",
    }
