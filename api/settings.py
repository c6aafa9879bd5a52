"""The settings of the service: one TOML file, overridden by the environment, typed, unknown keys refused.

`FLEXLEDGER_LISTEN__PORT=9443` overrides `port` in the table `[listen]`. Relative paths are relative to the folder of
the file, in the file and in the environment alike. `docs/reference/settings.md` lists every key.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from api.errors import Refused
from ledger import plain_file, toml_text

ENVIRONMENT_PREFIX = "FLEXLEDGER_"
NESTING = "__"
NOT_SETTINGS = frozenset({"FLEXLEDGER_CONFIG", "FLEXLEDGER_VECTORS"})
"""Variables with our prefix that say something else: where the file is, and where the tests find vectors."""
MAX_FILE_BYTES = 1 << 20

Port = Annotated[int, Meta(ge=0, le=65_535, description="0 lets the system choose; the real port is reported.")]

_UNKNOWN = re.compile(r"unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?")
_MISSING = re.compile(r"missing required field `([^`]*)`(?: - at `\$\.?([^`]*)`)?")
_PLACE = re.compile(r" - at `\$\.?([^`]*)`")


class SettingsInvalid(Refused):
    """The settings cannot be used; the message names the key, never its value."""

    code = "api/settings-invalid"
    title = "Settings are invalid"


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One concern."""


class Listen(_Section, frozen=True, kw_only=True):
    """The main listener: HTTPS, TLS 1.3 only."""

    host: Annotated[str, Meta(description="Address to bind.")] = "127.0.0.1"
    port: Port = 8443
    certificate: Annotated[Path, Meta(description="PEM file: the server certificate and its chain.")]
    key: Annotated[Path, Meta(description="PEM file: the server's private key.")]
    client_ca: Annotated[Path, Meta(description="PEM bundle: the authorities whose client certificates are accepted.")]
    require_client_cert: Annotated[
        bool,
        Meta(description="Refuse the handshake without a certificate, instead of answering 401 where one is needed."),
    ] = False


class OpsListen(_Section, frozen=True, kw_only=True):
    """The plain listener for /metrics and health; keep it on the loopback or a private network."""

    host: Annotated[str, Meta(description="Address to bind.")] = "127.0.0.1"
    port: Port = 9464


class StatusListen(_Section, frozen=True, kw_only=True):
    """The plain HTTP listener for revocation lists and OCSP, whose content is signed and secret to nobody."""

    host: Annotated[str, Meta(description="Address to bind.")] = "127.0.0.1"
    port: Port = 8080


class OcppListen(_Section, frozen=True, kw_only=True):
    """The WebSocket listener for charging stations (OCPP 2.1, security profile 3)."""

    host: Annotated[str, Meta(description="Address to bind.")] = "127.0.0.1"
    port: Port = 9443
    certificate: Annotated[Path, Meta(description="PEM file: the server certificate and its chain.")]
    key: Annotated[Path, Meta(description="PEM file: the server's private key.")]
    client_ca: Annotated[Path, Meta(description="PEM bundle: the authorities whose station certificates are accepted.")]
    tls_1_2: Annotated[
        bool,
        Meta(description="Admit stations that have TLS 1.2 only, with ephemeral keys and authenticated encryption."),
    ] = False
    max_connections: Annotated[
        int, Meta(ge=1, le=20_000, description="Stations that may be connected; the next is answered 503.")
    ] = 2000
    allowed_origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9+.-]{0,31}://[^\s/]{1,255}$")], ...],
        Meta(max_length=16, description="`Origin` headers that are admitted; any other is of a browser's page."),
    ] = ()


class Pki(_Section, frozen=True, kw_only=True):
    """What credentials are checked against."""

    anchors: Annotated[Path, Meta(description="PEM file: the trust anchors.")]
    issuers_dir: Annotated[Path, Meta(description="Folder: certificates of the issuing authorities.")]
    crl_dir: Annotated[Path, Meta(description="Folder: the current revocation lists.")]


class Signing(_Section, frozen=True, kw_only=True):
    """The service's own statement key, with which it signs refusals and derived records."""

    certificate: Annotated[Path, Meta(description="PEM file: the signing certificate.")]
    key: Annotated[Path, Meta(description="PEM file: the signing key.")]
    party: Annotated[str, Meta(min_length=1, max_length=64, description="The party that the service speaks for.")]


class Issuing(_Section, frozen=True, kw_only=True):
    """The certificate office: with it the service itself issues, renews and revokes credentials."""

    authorities: Annotated[
        Path,
        Meta(description="Folder: certificates and keys of the issuing authorities; the root's key stays offline."),
    ]
    password_file: Annotated[
        Path | None, Meta(description="File, mode 0600: the password of the authorities' keys; without it, none.")
    ] = None
    database: Annotated[
        Path | None, Meta(description="File: what was issued and revoked; pki.db in data_dir if not given.")
    ] = None
    blocked_keys: Annotated[
        Path | None, Meta(description="File: SHA-256 of every public key that nobody may use, one a line in hex.")
    ] = None
    code_lifetime_hours: Annotated[
        int, Meta(ge=1, le=2_160, description="How long an enrolment code is good, where nobody says otherwise.")
    ] = 72
    queue: Annotated[
        int, Meta(ge=1, le=10_000, description="Callers that may wait for the office; more are told to come back.")
    ] = 128


class Witnesses(_Section, frozen=True, kw_only=True):
    """Who cosigns our checkpoints, and how many of them a checkpoint needs before it is shown as witnessed."""

    policy: Annotated[
        Path,
        Meta(description="File: a c2sp.org/tlog-policy; each witness with a URL, its submission prefix, is asked."),
    ]
    ca: Annotated[
        Path | None, Meta(description="PEM bundle: the authorities of the witnesses' servers; else the system's.")
    ] = None
    timeout_ms: Annotated[
        int, Meta(ge=100, le=60_000, description="How long one witness may take over one checkpoint.")
    ] = 5_000


class Timestamps(_Section, frozen=True, kw_only=True):
    """Time-stamping authorities (RFC 3161) that are asked to stamp our checkpoints, in the background."""

    authorities: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^https?://[^\s]{1,500}$")], ...],
        Meta(min_length=1, max_length=8, description="URLs, asked one after the other until one answers."),
    ]
    trust: Annotated[Path, Meta(description="PEM file: the authorities' roots; what does not verify is not kept.")]
    every_minutes: Annotated[
        int, Meta(ge=1, le=44_640, description="Minutes between two stamps; none while the log does not grow.")
    ] = 60
    policy_oid: Annotated[
        Annotated[str, Meta(pattern=r"^[0-2](\.(0|[1-9][0-9]{0,17})){1,20}$")] | None,
        Meta(description="Under which policy to stamp; else any."),
    ] = None
    ca: Annotated[
        Path | None, Meta(description="PEM bundle: the authorities of the https servers; else the system's.")
    ] = None
    timeout_ms: Annotated[int, Meta(ge=100, le=60_000, description="How long one authority may take.")] = 10_000


class Predecessor(_Section, frozen=True, kw_only=True):
    """Which log this one continues; looked at once, when the log begins, and written into its first entry."""

    checkpoint: Annotated[Path, Meta(description="File: the old log's last checkpoint, with its cosignatures.")]
    vkeys: Annotated[Path, Meta(description="File: the verifier keys of the old log, one a line.")]
    witnesses: Annotated[
        Path | None,
        Meta(description="File: a c2sp.org/tlog-policy, whose quorum must have cosigned; without it, nobody."),
    ] = None


class SelfAudit(_Section, frozen=True, kw_only=True):
    """How often the service audits its own log."""

    every_hours: Annotated[
        int, Meta(ge=0, le=8784, description="Hours between two audits, the first that long after the start; 0: never.")
    ] = 24


class Vault(_Section, frozen=True, kw_only=True):
    """Where personal data lives: two files, or two schemas of PostgreSQL servers; never beside their key ring."""

    dir: Annotated[Path, Meta(description="Folder: the vault and the wrapped keys, where they are files.")]
    kek: Annotated[Path, Meta(description="File, mode 0600: the key-encryption keys; never in the same backup.")]
    kek_token: Annotated[
        str | None,
        Meta(
            description="PKCS#11 URI (RFC 7512): the key ring is in this token, not in a file.",
        ),
    ] = None
    backup_dir: Annotated[
        Path | None,
        Meta(description="Folder: where a rotation puts its tested copy of the wrapped keys, where those are a file."),
    ] = None
    dsn_file: Annotated[
        Path | None, Meta(description="File, mode 0600: the URI of the server that has the vault; without it, files.")
    ] = None
    keys_dsn_file: Annotated[
        Path | None, Meta(description="File, mode 0600: the URI of the server that has the wrapped keys.")
    ] = None
    schema: Annotated[
        str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="The schema that holds the vault, and nothing else.")
    ] = "flexledger_vault"
    keys_schema: Annotated[
        str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="The schema that holds the keys, and nothing else.")
    ] = "flexledger_keys"


class Privacy(_Section, frozen=True, kw_only=True):
    """Retention and exports."""

    retention_every_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=744,
            description="Hours between two runs that let months expire, one at the start; 0: never.",
        ),
    ] = 24
    policies: Annotated[
        Path | None, Meta(description="Folder: export policies of your own, one TOML file each; they win by name.")
    ] = None


class Store(_Section, frozen=True, kw_only=True):
    """Where the log lies; the vault has a table of its own."""

    engine: Annotated[
        Literal["sqlite", "postgres"],
        Meta(description="A file in `data_dir`, with one writer; or a PostgreSQL server, with any number of replicas."),
    ] = "sqlite"
    dsn_file: Annotated[
        Path | None,
        Meta(description="File, mode 0600: the URI of the server, or of primary and standby with a comma between."),
    ] = None
    schema: Annotated[
        str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}$", description="The schema that holds this log, and nothing else.")
    ] = "flexledger"
    standby: Annotated[
        Literal["required", "optional"],
        Meta(description="`required`: nothing is written or signed while the server waits for no synchronous standby."),
    ] = "optional"
    patience_s: Annotated[
        int,
        Meta(
            ge=1, le=600, description="How long a statement waits for a server that does not answer, as in a failover."
        ),
    ] = 30


class Webhooks(_Section, frozen=True, kw_only=True):
    """Posting events to parties' own receivers."""

    allow: Annotated[
        tuple[Annotated[str, Meta(max_length=64)], ...],
        Meta(max_length=64, description="Networks, as 10.1.0.0/16, that may be posted to although they are private."),
    ] = ()
    ca: Annotated[
        Path | None, Meta(description="PEM bundle: the authorities of the receivers' servers; else the system's.")
    ] = None
    timeout_ms: Annotated[int, Meta(ge=100, le=60_000, description="How long one receiver may take over one post.")] = (
        10_000
    )
    give_up_hours: Annotated[
        int, Meta(ge=1, le=720, description="How long a receiver that fails is tried; then its party resumes it.")
    ] = 72
    per_party: Annotated[int, Meta(ge=1, le=100, description="Webhooks that a party may have.")] = 8


class Limits(_Section, frozen=True, kw_only=True):
    """Bounds on what one caller can cost."""

    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30, description="A larger request body is answered 413.")] = (
        4 << 20
    )
    requests_per_s: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Sustained requests per second and party, a statement of a batch counting as one; more is 429.",
        ),
    ] = 200
    burst: Annotated[int, Meta(ge=1, le=1_000_000, description="Requests that a party may make at once.")] = 400
    queue: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Statements that may wait for the writer; more is answered 429.")
    ] = 2_000


class Settings(_Section, frozen=True, kw_only=True):
    """Everything that the service is told at its start."""

    development: Annotated[bool, Meta(description="Accept development certificates and a virtual clock.")] = False
    origin: Annotated[
        str,
        Meta(
            pattern=r"^[a-z0-9][a-z0-9.-]*(/[A-Za-z0-9._-]+)*$",
            max_length=128,
            description='The log\'s origin line, such as "ledger.example/northgate"; it can never change.',
        ),
    ]
    data_dir: Annotated[Path, Meta(description="Folder: databases and attachments of the ledger.")]
    log_key: Annotated[Path, Meta(description="File, mode 0600: the key that signs checkpoints.")]
    clock_file: Annotated[
        Path | None,
        Meta(description="Development only: business time is read from this file, in decimal milliseconds."),
    ] = None
    listen: Listen
    ops_listen: OpsListen = OpsListen()
    ocpp_listen: OcppListen | None = None
    status_listen: StatusListen | None = None
    pki: Pki
    signing: Signing
    issuing: Issuing | None = None
    vault: Vault
    privacy: Privacy = Privacy()
    store: Store = Store()
    limits: Limits = Limits()
    self_audit: SelfAudit = SelfAudit()
    witnesses: Witnesses | None = None
    predecessor: Predecessor | None = None
    timestamps: Timestamps | None = None
    webhooks: Webhooks | None = None


def load(path: Path | str, environ: Mapping[str, str]) -> Settings:
    """The settings in the file at `path`, overridden by `environ`, with every path made absolute.

    Raises `SettingsInvalid` for a file that cannot be read, an unknown, missing or unfit key, and for a virtual clock
    outside development.
    """
    file = Path(path)
    tree = _read(file)
    base = file.resolve().parent
    hook = _resolver(base)
    for name in sorted(environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in NOT_SETTINGS:
            _override(tree, name, environ[name], hook)
    try:
        settings = msgspec.convert(tree, Settings, dec_hook=hook)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    if settings.clock_file is not None and not settings.development:
        raise SettingsInvalid(
            "a virtual clock is for development only", key="clock_file", expected="development = true"
        )
    _require_networks(settings.webhooks)
    if (settings.store.engine == "postgres") != (settings.store.dsn_file is not None):
        raise SettingsInvalid(
            "a server's address belongs to the engine postgres, and only to it",
            key="store.dsn_file",
            expected='engine = "postgres" and a file',
        )
    if (settings.vault.dsn_file is None) != (settings.vault.keys_dsn_file is None):
        raise SettingsInvalid(
            "the vault and its keys lie on servers both, or in files both",
            key="vault.keys_dsn_file",
            expected="dsn_file and keys_dsn_file, or neither",
        )
    if settings.vault.dsn_file is not None and settings.vault.schema == settings.vault.keys_schema:
        raise SettingsInvalid(
            "whoever may read the vault would have its keys too",
            key="vault.keys_schema",
            expected="another schema than vault.schema",
            found=settings.vault.keys_schema,
        )
    return settings


def _require_networks(webhooks: Webhooks | None) -> None:
    for number, text in enumerate(() if webhooks is None else webhooks.allow):
        try:
            ipaddress.ip_network(text)
        except ValueError:
            raise SettingsInvalid(
                "not a network", key=f"webhooks.allow[{number}]", expected="such as 10.1.0.0/16"
            ) from None


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the file."""
    document = msgspec.json.schema(Settings, schema_hook=_path_schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "flexledger settings", **document}


def _read(file: Path) -> dict[str, Any]:
    try:
        with plain_file.opened(file) as handle:
            data = handle.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsInvalid("the settings file cannot be read", found=error.strerror, file=file.name) from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsInvalid(
            "the settings file is too large", expected=f"at most {MAX_FILE_BYTES} bytes", file=file.name
        )
    try:
        return toml_text.decode(data, dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The parser's message can repeat a key or a value; its place is enough.
        place = re.search(r"\(at [^)]*\)", str(error))
        raise SettingsInvalid("not TOML", found=place.group().strip("()") if place else None, file=file.name) from None


def _resolver(base: Path) -> Callable[[type, Any], Any]:
    def resolve(kind: type, value: Any) -> Any:
        if kind is Path and isinstance(value, str) and value:
            return base / value
        raise ValueError("Expected a path")

    return resolve


def _override(tree: dict[str, Any], name: str, text: str, hook: Callable[[type, Any], Any]) -> None:
    """Puts one variable into `tree`, read as the type of the key that it names."""
    *tables, last = name.removeprefix(ENVIRONMENT_PREFIX).lower().split(NESTING)
    section: type[_Section] = Settings
    place = tree
    for table in tables:
        section = _section(_field(section, table, name).type, name)
        inner = place.setdefault(table, {})
        if not isinstance(inner, dict):
            raise SettingsInvalid("the file has a value where the variable needs a table", variable=name)
        place = inner
    try:
        kind = _field(section, last, name).type
        place[last] = msgspec.to_builtins(msgspec.convert(text, kind, strict=False, dec_hook=hook), enc_hook=str)
    except msgspec.ValidationError as error:
        raise SettingsInvalid("the variable does not fit", expected=_reason(str(error)), variable=name) from None


def _field(section: type[_Section], key: str, variable: str) -> msgspec.structs.FieldInfo:
    for field in msgspec.structs.fields(section):
        if field.encode_name == key:
            return field
    raise SettingsInvalid("no setting has this name", variable=variable)


def _section(kind: Any, variable: str) -> type[_Section]:
    for candidate in (kind, *getattr(kind, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, _Section):
            return candidate
    raise SettingsInvalid("the setting is not a table", variable=variable)


def _invalid(message: str) -> SettingsInvalid:
    for pattern, detail in ((_UNKNOWN, "no setting has this name"), (_MISSING, "a setting is missing")):
        found = pattern.search(message)
        if found:
            key = ".".join(part for part in (found.group(2), found.group(1)) if part)
            return SettingsInvalid(detail, key=key)
    place = _PLACE.search(message)
    return SettingsInvalid("a setting does not fit", expected=_reason(message), key=place.group(1) if place else "")


def _reason(message: str) -> str:
    """What msgspec wanted, without the place and without what it found."""
    return _PLACE.sub("", message).split(", got")[0].removeprefix("Expected ")


def _path_schema(_kind: type) -> dict[str, Any]:
    """`Path` is the only type in `Settings` that msgspec does not know."""
    return {"type": "string", "minLength": 1}
