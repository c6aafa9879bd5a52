"""What can be wrong with the evidence of a transparency log; each class is one stable code."""

from ledger.errors import Broken, Refused


class ProofInvalid(Refused):
    """The hashes shown do not lead from the leaf, or the old root, to the root."""

    code = "ledger/proof-invalid"
    title = "Merkle proof does not verify"


class ProofMalformed(Refused):
    """The bytes are not a c2sp.org/tlog-proof."""

    code = "ledger/proof-malformed"
    title = "Malformed tlog-proof"


class SizeOutOfRange(Refused):
    """A proof, a tile or an entry was asked for that a tree of this size does not have."""

    code = "ledger/size-out-of-range"
    title = "Outside the tree"


class NoteMalformed(Refused):
    """The bytes are not a c2sp.org/signed-note, or the text cannot be made into one."""

    code = "ledger/note-malformed"
    title = "Malformed signed note"


class NoteUnverified(Refused):
    """No signature of the note verifies under a key that is trusted here, or one of a trusted key is wrong."""

    code = "ledger/note-unverified"
    title = "Signed note does not verify"


class KeyMalformed(Refused):
    """The text is not the encoding of a note key; the text itself is never shown."""

    code = "ledger/note-key-malformed"
    title = "Malformed note key"


class KeyAmbiguous(Refused):
    """Two of the trusted keys have the same name and key ID, so that a signature cannot be assigned."""

    code = "ledger/note-key-ambiguous"
    title = "Ambiguous note key"


class CheckpointMalformed(Refused):
    """The text of a note is not a c2sp.org/tlog-checkpoint."""

    code = "ledger/checkpoint-malformed"
    title = "Malformed checkpoint"


class OriginMismatch(Refused):
    """The checkpoint is another log's."""

    code = "ledger/origin-mismatch"
    title = "Checkpoint of another log"


class Forked(Refused):
    """One log signed two roots for one size; the two notes together prove it to anyone."""

    code = "ledger/forked"
    title = "Log shows two histories"


class NotContradictory(Refused):
    """The two checkpoints can both be true, so they are evidence of nothing."""

    code = "ledger/not-contradictory"
    title = "No contradiction"


class PolicyMalformed(Refused):
    """The bytes are not a c2sp.org/tlog-policy; `line` says where."""

    code = "ledger/tlog-policy-malformed"
    title = "Malformed witness policy"


class QuorumMissing(Refused):
    """The log signed the checkpoint, but too few of the witnesses that the policy asks for did."""

    code = "ledger/quorum-missing"
    title = "Too few witnesses"


class TileMalformed(Refused):
    """The path, the length or the framing of a tile or an entry bundle is wrong."""

    code = "ledger/tile-malformed"
    title = "Malformed tile"


class TileMismatch(Refused):
    """A tile or an entry is well-formed and is not what the tree above it commits to."""

    code = "ledger/tile-mismatch"
    title = "Tile does not belong to the tree"


class EntryTooLarge(Refused):
    """An entry is longer than the uint16 length of an entry bundle can say."""

    code = "ledger/entry-too-large"
    title = "Entry too large"


class FrontierMalformed(Broken):
    """The stored right edge of our own tree cannot be one."""

    code = "ledger/frontier-malformed"
    title = "Stored frontier is broken"
