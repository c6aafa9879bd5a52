"""The settings of a witness: one short TOML file, typed, unknown keys refused."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from api.settings import Port, SettingsInvalid
from ledger import plain_file, toml_text
from ledger.tlog import note
from ledger.tlog.errors import KeyMalformed
from ledger.tlog.notekeys import KeyKind, Verifier

CONFIG: Final = "witness.toml"
MAX_FILE_BYTES: Final = 1 << 20
MAX_LOGS: Final = 1_000
MAX_KEYS: Final = 8

Vkey = Annotated[str, Meta(min_length=1, max_length=2048)]


class WitnessedLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One log: the keys under which it may sign, two of them while it changes its key. Their name is its origin."""

    vkeys: Annotated[tuple[Vkey, ...], Meta(min_length=1, max_length=MAX_KEYS)]

    def verifiers(self) -> tuple[Verifier, ...]:
        """The keys; raises SettingsInvalid unless all are of one log."""
        try:
            found = tuple(note.parse_vkey(vkey) for vkey in self.vkeys)
        except KeyMalformed as error:
            raise SettingsInvalid(error.detail, expected=error.expected, key="logs.vkeys") from None
        if len({one.name for one in found}) != 1 or any(one.kind is not KeyKind.ED25519 for one in found):
            raise SettingsInvalid("not the keys of one log", expected="one name, type 0x01", key="logs.vkeys")
        return found


class WitnessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a witness is told at its start."""

    key: Annotated[Path, Meta(description="File, mode 0600: the key that cosigns.")]
    memory: Annotated[Path, Meta(description="File: what was cosigned; never restored from an older copy.")]
    host: str = "127.0.0.1"
    port: Port = 8444
    prefix: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$(?!\n)", max_length=256)] = ""
    certificate: Path | None = None
    certificate_key: Path | None = None
    logs: Annotated[tuple[WitnessedLog, ...], Meta(min_length=1, max_length=MAX_LOGS)]


def load(path: Path) -> WitnessSettings:
    """The settings in the file, paths made absolute; raises SettingsInvalid."""

    def resolve(kind: type, value: Any) -> Any:
        if kind is Path and isinstance(value, str) and value:
            return path.resolve().parent / value
        raise ValueError("Expected a path")

    try:
        with plain_file.opened(path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsInvalid("the settings file cannot be read", found=error.strerror, file=path.name) from None
    if len(data) > MAX_FILE_BYTES:
        raise SettingsInvalid("the settings file is too large", expected=f"at most {MAX_FILE_BYTES} bytes")
    try:
        found = toml_text.decode(data, WitnessSettings, dec_hook=resolve)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid("the witness's settings do not fit", found=str(error), file=path.name) from None
    origins = [log.verifiers()[0].name for log in found.logs]
    if len(set(origins)) != len(origins):
        raise SettingsInvalid("a log stands twice", expected="one [[logs]] each", key="logs")
    if (found.certificate is None) != (found.certificate_key is None):
        raise SettingsInvalid("a certificate and its key come together", key="certificate")
    return found
