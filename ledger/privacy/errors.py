"""What can go wrong with personal data; no message ever repeats any of it."""

from ledger.errors import Absent, Broken, Busy, Refused


class ErasedData(Absent):
    """The data was erased lawfully; `where["tombstone"]` is the handle of the tombstone in the log."""

    code = "ledger/erased"
    title = "Erased"


class LostData(Broken):
    """The log commits to data that the vault does not have, and no tombstone says why."""

    code = "ledger/lost"
    title = "Data is lost"


class TamperedData(Broken):
    """What the vault holds is not what the log commits to."""

    code = "ledger/tampered"
    title = "Data was tampered with"


class UndisclosedData(Absent):
    """The digest came without a disclosure: it is a decoy, or its maker kept the value to itself."""

    code = "ledger/undisclosed"
    title = "Never disclosed to this log"


class RestrictedData(Refused):
    """Processing of the subject's data is restricted (GDPR Art. 18)."""

    code = "ledger/restricted"
    title = "Processing is restricted"


class AttachmentAbsent(Absent):
    """No attachment with that digest was ever kept."""

    code = "ledger/attachment-absent"
    title = "No such attachment"


class AttachmentTooLarge(Refused):
    """The attachment is larger than the vault takes."""

    code = "ledger/attachment-too-large"
    title = "Attachment is too large"


class NoticeUnknown(Absent):
    """No notice of this number is still to be sent."""

    code = "ledger/notice-unknown"
    title = "Unknown notice"


class SubjectUnknown(Absent):
    """The vault holds nothing of that subject; it answers the same whether it never did or has forgotten."""

    code = "ledger/subject-unknown"
    title = "Unknown subject"


class SubjectNameRefused(Refused):
    """The text cannot be one subject's identifier beyond doubt: it is empty, too long, or not plain ASCII."""

    code = "ledger/subject-name-refused"
    title = "Not a subject identifier"


class SubjectHeld(Refused):
    """A legal hold or an exception of Art. 17(3) stands against the erasure; the refusal is in the log."""

    code = "ledger/subject-held"
    title = "Erasure refused"


class SubjectNotRestricted(Refused):
    """There is no restriction to lift."""

    code = "ledger/subject-not-restricted"
    title = "No restriction is set"


class SubjectNotHeld(Refused):
    """There is no hold to release."""

    code = "ledger/subject-not-held"
    title = "No hold stands"


class ErasureUnfinished(Busy):
    """Keys are destroyed, but a reader keeps old pages alive; `resume` finishes the erasure."""

    code = "ledger/erasure-unfinished"
    title = "Erasure is not finished"


class RestoredVaultOpen(Broken):
    """A restored vault still held erased subjects and could not be made to forget them."""

    code = "ledger/restored-vault-open"
    title = "Restored vault holds erased data"


class VaultMalformed(Broken):
    """The vault's files are not what this version writes."""

    code = "ledger/vault-malformed"
    title = "Vault cannot be opened"


class VaultAbsent(Absent):
    """There is no vault in that directory."""

    code = "ledger/vault-absent"
    title = "No vault there"


class KekRingExposed(Refused):
    """Others than the owner can read the key ring, or it is not a plain file."""

    code = "ledger/kek-ring-exposed"
    title = "Key ring is not private"


class KekRingMalformed(Broken):
    """The key ring cannot be read."""

    code = "ledger/kek-ring-malformed"
    title = "Key ring cannot be read"


class KekEpochInUse(Refused):
    """Keys are still wrapped under that epoch: rotate first."""

    code = "ledger/kek-epoch-in-use"
    title = "Key epoch is in use"


class KekEpochAbsent(Absent):
    """The key ring does not hold that epoch (any more)."""

    code = "ledger/kek-epoch-absent"
    title = "No such key epoch"


class PeriodLapsed(Refused):
    """That retention period has expired for everybody; nothing is written into it any more."""

    code = "ledger/period-lapsed"
    title = "Retention period is over"


class RetentionMalformed(Refused):
    """Not a retention class."""

    code = "ledger/retention-malformed"
    title = "Not a retention class"


class OpeningInvalid(Refused):
    """The opening does not show that the digest fell under the tombstone."""

    code = "ledger/opening-invalid"
    title = "Erasure opening does not verify"


class ExportPolicyInvalid(Refused):
    """The export policy contradicts itself: proofs and generalisation never mix, k is at least 2."""

    code = "ledger/export-policy-invalid"
    title = "Export policy is invalid"


class ExportRowInvalid(Refused):
    """A row does not fit the export that it was given to."""

    code = "ledger/export-row-invalid"
    title = "Export row is invalid"


class ExportStale(Busy):
    """A subject was erased or restricted while the export was made; make it again."""

    code = "ledger/export-stale"
    title = "Export was overtaken by an erasure"


class ExportTooLarge(Refused):
    """The export is larger than its format allows."""

    code = "ledger/export-too-large"
    title = "Export is too large"


class AnonymityUnreachable(Refused):
    """No generalisation within the policy puts enough distinct subjects behind every row."""

    code = "ledger/anonymity-unreachable"
    title = "Too few subjects"


class ExportMalformed(Refused):
    """The archive or a file in it is not an export of docs/spec/export.md."""

    code = "ledger/export-malformed"
    title = "Export is malformed"


class ExportLogUnnamed(ExportMalformed):
    """A provable export is checked against a log, and nobody said which."""

    code = "ledger/export-log-unnamed"
    title = "No log to check the export against"


class ExportSignatureInvalid(Refused):
    """The manifest is not signed by the expected key."""

    code = "ledger/export-signature-invalid"
    title = "Export is not signed by that key"


class ExportFileMismatch(Refused):
    """A file is missing, is not listed, or differs from what the manifest says of it."""

    code = "ledger/export-file-mismatch"
    title = "Export file differs from the manifest"


class ExportRowMismatch(Refused):
    """A row says something that the entry behind it does not."""

    code = "ledger/export-row-mismatch"
    title = "Export row differs from its entry"


class ExportExpired(Refused):
    """The export was to be deleted before now."""

    code = "ledger/export-expired"
    title = "Export has expired"


class SealingRefused(Refused):
    """The recipient's key cannot seal, or the sealed bytes are not for this key."""

    code = "ledger/sealing-refused"
    title = "Export cannot be sealed or opened"


class ReidentificationUnknown(Absent):
    """No such request is open: it never was, it was answered, refused, or is out of time."""

    code = "ledger/reidentification-unknown"
    title = "No such request for re-identification"


class ReidentificationNotYours(Refused):
    """One person may not do both halves: who asks does not approve, and the answer is for who asked."""

    code = "ledger/reidentification-not-yours"
    title = "Re-identification needs two persons"


class ReidentificationNotApproved(Refused):
    """Nobody else has approved the request yet."""

    code = "ledger/reidentification-not-approved"
    title = "Re-identification is not approved"


class ReidentificationTooOften(Refused):
    """More requests in a day than anybody needs."""

    code = "ledger/reidentification-too-often"
    title = "Too many re-identifications"


class RectificationUnfit(Refused):
    """The entry, the member or the value is not one that can be put right for this subject."""

    code = "ledger/rectification-unfit"
    title = "Not a correction"


class BackupElsewhere(Refused):
    """The keys are on a server, or there is no folder for copies: whoever operates it makes and tests the backup."""

    code = "ledger/backup-elsewhere"
    title = "Backup is not made here"
