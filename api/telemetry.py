"""What the service says of itself: one JSON line a request, and metrics. Neither ever names a person.

A log line holds only the fields in `FIELDS`, so a field that nobody thought about is withheld, not leaked. Messages of
exceptions are not logged, because they can repeat what a caller sent; their types and places are.
"""

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

METRICS_CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
WITHHELD: Final = "[withheld]"
MAX_TEXT: Final = 512
MAX_FRAMES: Final = 40

FIELDS: Final = frozenset(
    {
        # every line
        "event", "level", "at", "logger",
        # a request
        "method", "route", "status", "code", "duration_ms", "role", "party", "instance", "scheme",
        # a failure
        "error", "frames", "reason", "expected", "found",
        # the service
        "host", "port", "ops_port", "file", "version", "origin", "signal", "probe", "attempt", "count", "size_bytes",
        # the log, all of it public
        "index", "tree_size", "stream", "seq", "type", "fsr_id", "fsc_id", "epoch", "worker", "witness",
        "key_id", "control",
    }
)  # fmt: skip
"""The fields that a line may hold. None can hold a value that a record marks personal."""

DURATION_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REGISTRY: Final = CollectorRegistry()

HTTP_REQUESTS: Final = Counter(
    "flexledger_http_requests_total", "Requests answered.", ("method", "route", "status"), registry=REGISTRY
)
HTTP_DURATION_S: Final = Histogram(
    "flexledger_http_request_duration_seconds",
    "Time from the request's head to the end of its answer.",
    ("method", "route"),
    buckets=DURATION_BUCKETS_S,
    registry=REGISTRY,
)
HTTP_OPEN: Final = Gauge("flexledger_http_requests_open", "Requests being answered now.", registry=REGISTRY)
PROBLEMS: Final = Counter(
    "flexledger_problems_total", "Problems answered, by their stable code.", ("code",), registry=REGISTRY
)
CREDENTIALS_CHECKED: Final = Counter(
    "flexledger_credentials_checked_total",
    "Client certificates checked in full, not answered from the cache.",
    ("result",),
    registry=REGISTRY,
)
CREDENTIALS_ISSUED: Final = Counter(
    "flexledger_credentials_issued_total",
    "Certificates issued by this office, by profile.",
    ("profile",),
    registry=REGISTRY,
)
CREDENTIALS_REVOKED: Final = Counter(
    "flexledger_credentials_revoked_total",
    "Certificates revoked by this office, by reason.",
    ("reason",),
    registry=REGISTRY,
)
CREDENTIAL_GAPS: Final = Gauge(
    "flexledger_credential_gaps", "Certificates that were intended and neither issued nor revoked.", registry=REGISTRY
)
ENROLMENTS_REFUSED: Final = Counter(
    "flexledger_enrolments_refused_total",
    "Enrolments refused, by the stable code of the reason.",
    ("code",),
    registry=REGISTRY,
)
CONNECTIONS_ENDED: Final = Counter(
    "flexledger_connections_ended_total",
    "Connections closed because the credential behind them no longer holds.",
    ("listener",),
    registry=REGISTRY,
)
TLS_REFUSED: Final = Counter(
    "flexledger_tls_handshakes_refused_total",
    "TLS handshakes refused, by OpenSSL's reason.",
    ("reason",),
    registry=REGISTRY,
)
TLS_RELOADED: Final = Counter(
    "flexledger_tls_reloads_total",
    "Certificate or trust files read again after a change.",
    ("result",),
    registry=REGISTRY,
)

COSIGNATURES: Final = Counter(
    "flexledger_cosignatures_total",
    "Cosignatures asked of a witness, by its name in the policy and by what came of it.",
    ("witness", "result"),
    registry=REGISTRY,
)
TIMESTAMPS: Final = Counter(
    "flexledger_timestamps_total",
    "Time stamps over checkpoints that were asked of authorities, by what came of it.",
    ("result",),
    registry=REGISTRY,
)
TIMESTAMPED_SIZE: Final = Gauge(
    "flexledger_timestamped_size",
    "Entries under the last time stamp of this process.",
    registry=REGISTRY,
)
SIGNING_STOPPED: Final = Gauge(
    "flexledger_signing_stopped",
    "1 while no checkpoint is signed, because log, signer and witnesses do not agree about the past.",
    registry=REGISTRY,
)
WITNESSED_SIZE: Final = Gauge(
    "flexledger_witnessed_tree_size", "Size of the last checkpoint that the quorum cosigned.", registry=REGISTRY
)

STATIONS_SERVED: Final = Gauge(
    "flexledger_stations_served",
    "1 where this replica serves the charging stations; 0 where another one does and this one stands by.",
    registry=REGISTRY,
)

STATION_CONNECTIONS: Final = Counter(
    "flexledger_station_connections_total",
    "Connections of stations: admitted, refused with a code, or cut before they said who they are.",
    ("result",),
    registry=REGISTRY,
)
STATION_FRAMES: Final = Counter(
    "flexledger_station_frames_total",
    "Frames of stations that were refused, ignored or read more slowly, and answers that nobody waited for.",
    ("result",),
    registry=REGISTRY,
)

SELF_AUDITS: Final = Counter(
    "flexledger_self_audits_total", "Audits of the own log, by their outcome.", ("result",), registry=REGISTRY
)
SELF_AUDIT_FINDINGS: Final = Gauge(
    "flexledger_self_audit_findings", "Findings of the last audit of the own log.", registry=REGISTRY
)

WEBHOOK_DELIVERIES: Final = Counter(
    "flexledger_webhook_deliveries_total",
    "Deliveries to webhooks, by what came of them.",
    ("result",),
    registry=REGISTRY,
)
WEBHOOKS: Final = Gauge(
    "flexledger_webhooks", "Webhook subscriptions, by how they stand.", ("state",), registry=REGISTRY
)

log: structlog.typing.FilteringBoundLogger = structlog.get_logger("flexledger")


class MetricDescription(NamedTuple):
    """A metric as its documentation shows it."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


def render() -> bytes:
    """All metrics in the Prometheus text format."""
    return generate_latest(REGISTRY)


def describe() -> tuple[MetricDescription, ...]:
    """Every registered metric, in order of name."""
    found = []
    for collector in {id(each): each for each in REGISTRY._names_to_collectors.values()}.values():  # noqa: SLF001
        labels: tuple[str, ...] = tuple(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found.append(MetricDescription(name, family.type, labels, family.documentation))
    return tuple(sorted(found))


def configure(stream: BinaryIO | None = None, *, level: int = logging.INFO) -> None:
    """From here on every line, ours and the libraries', is one JSON object on `stream` (standard error)."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            failure_without_message,
            withhold_unknown_fields,
            _to_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(stream if stream is not None else sys.stderr.buffer),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, Bridge)]:
        root.removeHandler(handler)
    root.addHandler(Bridge())
    root.setLevel(logging.WARNING)


class Bridge(logging.Handler):
    """Hands the lines of libraries to structlog; the arguments of a line can hold anything, so they are left away."""

    def emit(self, record: logging.LogRecord) -> None:
        """Logs the record's template, its logger and the type and place of its exception."""
        error = record.exc_info[1] if record.exc_info else None
        emit = log.error if record.levelno >= logging.ERROR else log.warning
        emit(str(record.msg), logger=record.name, **failure(error))


def failure(error: BaseException | None) -> dict[str, Any]:
    """The fields of a line about `error`: its type and where it was raised, never its message."""
    if error is None:
        return {}
    return {"error": _type_name(error), "frames": _frames(error.__traceback__)}


def failure_without_message(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces `exc_info` by the fields of `failure`."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.update(failure(error))
    return event


def withhold_unknown_fields(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keeps the fields in `FIELDS`, cut to `MAX_TEXT`; of any other only the name is shown."""
    return {name: _shown(value) if name in FIELDS else WITHHELD for name, value in event.items()}


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return WITHHELD
    if isinstance(value, Mapping):
        return {str(key): _shown(member) for key, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_shown(member) for member in value]
    return str(value)[:MAX_TEXT]


def _type_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _frames(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-MAX_FRAMES:]
    return [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in frames]


def _to_json(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(event)
