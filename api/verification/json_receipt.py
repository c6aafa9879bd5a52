"""A receipt of one entry with all that it rests on: `flexledger-receipt/1` (docs/spec/proofs.md).

It is a bundle of one entry: read, and verified under the same policy, by the same steps as far as one entry has them.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from api.errors import ApiError
from api.verification import bundle_format, bundle_log, bundle_stamps, bundle_statements
from api.verification.bundle import WITHOUT_POLICY, Verification
from api.verification.bundle_directory import BundleDirectory
from api.verification.bundle_errors import EvidenceSurplus
from api.verification.bundle_format import MAX_STAMPS, Anchors, Bundle, BundleEntry, Stamp
from api.verification.bundle_policy import Policy
from api.verification.bundle_room import Room
from api.verification.bundle_statements import Told
from api.verification.errors import BundleUnusable
from api.verification.report import Report, counted
from ledger.errors import LedgerError
from ledger.records import canonical
from ledger.records.errors import NotCanonical
from pki.errors import PkiError

FORMAT: Final = "flexledger-receipt/1"
MEDIA_TYPE: Final = "application/vnd.flexledger.receipt+json"
MAX_BYTES: Final = 8 * 1024 * 1024
MAX_DISCLOSURES: Final = 256
MAX_CERTIFICATES: Final = 32
MAX_STATUS: Final = 64
CAVEAT: Final = "one entry alone: it says nothing of what else is in the log"


class JsonReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that one entry rests on. Bytes are base64, hashes hex; lists are in order and without repeats."""

    format: Annotated[str, Meta(pattern=r"^flexledger-receipt/1$(?!\n)")]
    origin: Annotated[str, Meta(min_length=1, max_length=128)]
    anchors: Anchors
    checkpoint: Annotated[str, Meta(min_length=1, max_length=65_536)]
    entry: BundleEntry
    disclosures: Annotated[tuple[str, ...], Meta(max_length=MAX_DISCLOSURES)] = ()
    certificates: Annotated[tuple[bytes, ...], Meta(max_length=MAX_CERTIFICATES)]
    status: Annotated[tuple[bytes, ...], Meta(max_length=MAX_STATUS)]
    timestamps: Annotated[tuple[Stamp, ...], Meta(max_length=MAX_STAMPS)] = ()


def encode(receipt: JsonReceipt) -> bytes:
    """The file's bytes, canonical; raises `BundleUnusable` beyond `MAX_BYTES`."""
    data = canonical.encode(receipt)
    if len(data) > MAX_BYTES:
        raise BundleUnusable("the receipt is too large", expected=f"at most {MAX_BYTES} bytes", found=len(data))
    return data


def read(data: bytes) -> JsonReceipt:
    """The receipt in the file; nothing of it is authentic yet. Raises `BundleUnusable`, `NotCanonical`."""
    if len(data) > MAX_BYTES:
        raise BundleUnusable("the file is too large", expected=f"at most {MAX_BYTES} bytes", found=len(data))
    canonical.decode(data)
    try:
        receipt = msgspec.json.decode(data, type=JsonReceipt)
    except msgspec.ValidationError as error:
        raise BundleUnusable("not a receipt", found=str(error).partition(" `")[0].partition(", got ")[0]) from None
    if encode(receipt) != data:
        raise NotCanonical("the bytes differ from their canonical form")
    whole = as_bundle(receipt)
    if bundle_format.in_order(whole) != whole:
        raise BundleUnusable("a list is not in order, or holds something twice", expected="strictly rising")
    return receipt


def as_bundle(receipt: JsonReceipt) -> Bundle:
    """The same as a bundle of one entry, for the steps that the two have in common."""
    return Bundle(
        format=bundle_format.FORMAT,
        origin=receipt.origin,
        fsr_id="receipt",
        anchors=receipt.anchors,
        checkpoint=receipt.checkpoint,
        entries=(receipt.entry,),
        disclosures=receipt.disclosures,
        erasures=(),
        certificates=receipt.certificates,
        status=receipt.status,
        attachments=(),
        timestamps=receipt.timestamps,
    )


def of_bundle(bundle: Bundle) -> JsonReceipt:
    """The receipt of a bundle with one entry."""
    (entry,) = bundle.entries
    return JsonReceipt(
        format=FORMAT,
        origin=bundle.origin,
        anchors=bundle.anchors,
        checkpoint=bundle.checkpoint,
        entry=entry,
        disclosures=bundle.disclosures,
        certificates=bundle.certificates,
        status=bundle.status,
        timestamps=bundle.timestamps,
    )


def verify(receipt: JsonReceipt, *, policy: Policy | None) -> Report:
    """What holds of a receipt, under the policy's anchors or, without, under those that it names itself."""
    return ReceiptVerification(as_bundle(receipt), policy).run()


class ReceiptVerification(Verification):
    """One receipt looked at once; afterwards it also knows what of the evidence was needed."""

    def run(self) -> Report:
        """The report of all steps that one entry has."""
        lines, bundle = self.lines, self.bundle
        lines.verified("format", f"{FORMAT}, canonical")
        trusted = self._anchors()
        head = self._checkpoint()
        if bundle.timestamps or bundle.anchors.timestamp_roots:
            bundle_stamps.check(bundle, head, self.policy, lines)
        found = bundle_log.read_entries(bundle, head, lines)
        if trusted is not None:
            try:
                self.room = Room(bundle)
                self.directory = BundleDirectory(trusted, bundle.certificates, bundle.status)
            except (LedgerError, PkiError, ApiError) as error:
                lines.failed("credentials", error)
            else:
                told = bundle_statements.open_statements(found, bundle.origin, self.directory, lines)
                self._disclosures(told, self.room)
                self._nothing_over(self.directory, self.room)
        caveat = CAVEAT if self.policy else f"{CAVEAT}; {WITHOUT_POLICY}"
        return lines.report(f"receipt of entry {bundle.entries[0].index} of {bundle.origin}", caveat=caveat)

    def _disclosures(self, told: Sequence[Told], room: Room) -> None:
        for one in told:
            try:
                room.reveal(one.statement)
            except LedgerError as error:
                self.lines.failed("disclosures", error, **one.where)
                continue
            room.use(one.statement)
        if self.bundle.disclosures:
            count = counted(len(self.bundle.disclosures), "value")
            self.lines.verified("disclosures", f"{count} opened, each under a digest that the statement signs")

    def _nothing_over(self, directory: BundleDirectory, room: Room) -> None:
        certificates, crls = directory.unused()
        unused = {"certificates": certificates, "status": crls, "disclosures": room.unused()["disclosures"]}
        for name, places in unused.items():
            for position in places:
                error = EvidenceSurplus("nothing needs it, so a change of it would not be noticed")
                self.lines.failed("surplus", error, list=name, position=position)
