"""What can go wrong between us and the medium; each class is one stable code."""

from ledger.errors import Absent, Broken, Busy, Refused


class StoreLocked(Busy):
    """Another process is the writer of this log; two would tear it."""

    code = "ledger/store-locked"
    title = "Log is in use by another writer"


class StoreFull(Busy):
    """There is no room for the batch: nothing of it was kept, and what was kept before can still be read."""

    code = "ledger/store-full"
    title = "No room left"


class StoreBusy(Busy):
    """The database is locked by somebody else for longer than we wait."""

    code = "ledger/store-busy"
    title = "Database is busy"


class StoreUnreachable(Busy):
    """The database server does not answer, or nobody there takes writes just now."""

    code = "ledger/store-unreachable"
    title = "Database cannot be reached"


class StoreDenied(Busy):
    """The database server lets us in, and the role may not do there what has to be done: somebody must grant it."""

    code = "ledger/store-denied"
    title = "Database denies it"


class OutcomeUnknown(StoreUnreachable):
    """The connection was lost while the batch was committed: the same statement again tells what became of it."""

    code = "ledger/outcome-unknown"
    title = "Outcome is not known"


class StandbyMissing(Busy):
    """No second machine confirms a commit, though the settings ask for one: a failover could lose what was promised."""

    code = "ledger/standby-missing"
    title = "No synchronous standby"


class StoreIo(Broken):
    """The medium failed while writing: what became of the batch is known only after opening the log again."""

    code = "ledger/store-io"
    title = "Medium failed"


class StoreDamaged(Broken):
    """The database is not what we left there: another schema, a torn page, a row that should not be."""

    code = "ledger/store-damaged"
    title = "Database is damaged"


class StoreForeign(Broken):
    """The database holds another log, another schema version, or no log at all."""

    code = "ledger/store-foreign"
    title = "Another database"


class StoreExists(Broken):
    """A new log was asked for where there already is a file; nothing is ever written over."""

    code = "ledger/store-exists"
    title = "There is a log already"


class StoreAbsent(Absent):
    """There is no log in this place."""

    code = "ledger/store-absent"
    title = "No log here"


class EntryAbsent(Absent):
    """The log has no such entry."""

    code = "ledger/entry-absent"
    title = "No such entry"


class StreamAbsent(Absent):
    """The log has no stream of this name."""

    code = "ledger/stream-absent"
    title = "No such stream"


class CheckpointAbsent(Absent):
    """No checkpoint of this size was signed."""

    code = "ledger/checkpoint-absent"
    title = "No such checkpoint"


class CertificateAbsent(Absent):
    """The log never met this certificate or this piece of evidence."""

    code = "ledger/evidence-absent"
    title = "No such evidence"


class HeadMoved(StoreUnreachable):
    """Another replica wrote between the look-up and the write; nothing was written, and the batch is judged again."""

    code = "ledger/head-moved"
    title = "Another replica was faster"


class RolledBack(Broken):
    """The log is older than the last checkpoint that its key signed: signing on would fork it."""

    code = "ledger/rolled-back"
    title = "Log was rolled back"


class ProjectionsOther(Broken):
    """Another replica keeps the projections by other rules: both at once would spoil each other's rows."""

    code = "ledger/projections-other"
    title = "Another replica has other rules"


class HistoryDiffers(Broken):
    """The log does not contain what its key signed last: signing on would fork it."""

    code = "ledger/history-differs"
    title = "Log's history was changed"


class LogKeyMissing(Broken):
    """The log says that another key signs it than those that are at hand."""

    code = "ledger/log-key-missing"
    title = "Log's key is missing"


class SignerStateAbsent(Broken):
    """The log has signed checkpoints, but the signer's own memory of the last one is gone or unreadable."""

    code = "ledger/signer-state-absent"
    title = "Signer's memory is gone"


class SignerRaced(Busy):
    """Another process moved the signer's state at the same moment; nothing was signed here."""

    code = "ledger/signer-raced"
    title = "Signer is in use"


class QueueFull(Busy):
    """More is waiting than we promise to hold."""

    code = "ledger/queue-full"
    title = "Too many statements are waiting"


class ListTooLong(Refused):
    """More statements in one call than one call may bring."""

    code = "ledger/list-too-long"
    title = "Too many statements at once"


class AppenderClosed(Busy):
    """The log is being shut down; nothing was written."""

    code = "ledger/closed"
    title = "Log is shutting down"


class AppenderBroken(Broken):
    """The sequencer met something that its own code does not expect; nothing of the batch was written."""

    code = "ledger/appender-broken"
    title = "Sequencer failed"
