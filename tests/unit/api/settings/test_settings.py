"""Settings: one file, the environment over it, nothing unknown, nothing repeated."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from api import settings
from api.settings import SettingsInvalid

REPOSITORY = Path(__file__).resolve().parents[4]

GOOD = """
origin = "ledger.example/northgate"
data_dir = "data"
log_key = "/keys/log"

[listen]
port = 9000
certificate = "tls/server.crt"
key = "tls/server.key"
client_ca = "tls/clients.pem"

[pki]
anchors = "pki/anchors.pem"
issuers_dir = "pki/issuers"
crl_dir = "pki/crl"

[signing]
certificate = "signing.crt"
key = "signing.key"
party = "NORTHGATE"

[vault]
dir = "vault"
kek = "kek"
"""


def _load(folder: Path, text: str = GOOD, environ: dict[str, str] | None = None) -> settings.Settings:
    file = folder / "flexledger.toml"
    file.write_text(text)
    return settings.load(file, environ or {})


def _refused(folder: Path, text: str = GOOD, environ: dict[str, str] | None = None) -> SettingsInvalid:
    with pytest.raises(SettingsInvalid) as caught:
        _load(folder, text, environ)
    assert caught.value.code == "api/settings-invalid"
    return caught.value


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path: Path) -> None:
    found = _load(tmp_path)
    assert found.data_dir == tmp_path / "data"
    assert found.log_key == Path("/keys/log")
    assert found.listen.certificate == tmp_path / "tls/server.crt"


def test_what_is_not_said_has_the_documented_default(tmp_path: Path) -> None:
    found = _load(tmp_path)
    assert (found.development, found.clock_file, found.ocpp_listen) == (False, None, None)
    assert found.limits == settings.Limits()


def test_the_environment_overrides_the_file_with_the_type_of_the_key(tmp_path: Path) -> None:
    environ = {
        "FLEXLEDGER_LISTEN__PORT": "7000",
        "FLEXLEDGER_DEVELOPMENT": "true",
        "FLEXLEDGER_LIMITS__BURST": "7",
        "FLEXLEDGER_DATA_DIR": "other",
        "FLEXLEDGER_CLOCK_FILE": "clock",
        "FLEXLEDGER_OCPP_LISTEN__CERTIFICATE": "c",
        "FLEXLEDGER_OCPP_LISTEN__KEY": "k",
        "FLEXLEDGER_OCPP_LISTEN__CLIENT_CA": "a",
        "FLEXLEDGER_VECTORS": "/elsewhere",
        "OTHER": "ignored",
    }
    found = _load(tmp_path, environ=environ)
    assert (found.listen.port, found.development, found.limits.burst) == (7000, True, 7)
    assert (found.data_dir, found.clock_file) == (tmp_path / "other", tmp_path / "clock")
    assert found.ocpp_listen is not None
    assert found.ocpp_listen.certificate == tmp_path / "c"


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (("port = 9000", "prot = 9000"), "listen.prot"),
        (('origin = "ledger.example/northgate"', 'origin = "ledger.example/northgate"\nspeed = 1'), "speed"),
        (('party = "NORTHGATE"', ""), "signing.party"),
        (("port = 9000", "port = 70000"), "listen.port"),
        (("port = 9000", 'port = "secret"'), "listen.port"),
        (('data_dir = "data"', "data_dir = 5"), "data_dir"),
        (('data_dir = "data"', 'data_dir = ""'), "data_dir"),
        (('"ledger.example/northgate"', '"Secret Origin"'), "origin"),
    ],
)
def test_a_key_that_is_unknown_missing_or_unfit_is_named_and_its_value_is_not(
    tmp_path: Path, change: tuple[str, str], key: str
) -> None:
    assert change[0] in GOOD
    error = _refused(tmp_path, GOOD.replace(*change))
    assert error.where["key"] == key
    assert "ecret" not in error.message()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("FLEXLEDGER_LISTEN__PROT", "1"),
        ("FLEXLEDGER_NOTHING", "1"),
        ("FLEXLEDGER_ORIGIN__X", "1"),
        ("FLEXLEDGER_LISTEN__PORT", "secret"),
        ("FLEXLEDGER_DEVELOPMENT", "secret"),
    ],
)
def test_a_variable_that_is_unknown_or_unfit_is_named_and_its_value_is_not(
    tmp_path: Path, variable: str, value: str
) -> None:
    error = _refused(tmp_path, environ={variable: value})
    assert error.where["variable"] == variable
    assert "secret" not in error.message()


def test_a_virtual_clock_is_refused_outside_development(tmp_path: Path) -> None:
    text = GOOD.replace('log_key = "/keys/log"', 'log_key = "/keys/log"\nclock_file = "clock"')
    assert _refused(tmp_path, text).where["key"] == "clock_file"
    assert _load(tmp_path, "development = true\n" + text).clock_file == tmp_path / "clock"


def test_a_servers_address_belongs_to_the_engine_postgres_and_only_to_it(tmp_path: Path) -> None:
    for table in ('engine = "postgres"', 'dsn_file = "dsn"'):
        assert _refused(tmp_path, f"{GOOD}\n[store]\n{table}\n").where["key"] == "store.dsn_file"
    found = _load(tmp_path, GOOD + '\n[store]\nengine = "postgres"\ndsn_file = "dsn"\n')
    assert (found.store.dsn_file, found.store.schema, found.store.standby) == (
        tmp_path / "dsn",
        "flexledger",
        "optional",
    )


def test_the_vault_and_its_keys_never_share_a_schema(tmp_path: Path) -> None:
    servers = GOOD + '\ndsn_file = "a"\nkeys_dsn_file = "b"\n'
    assert _load(tmp_path, servers + 'schema = "one"\nkeys_schema = "other"\n').vault.keys_schema == "other"
    assert _refused(tmp_path, servers + 'schema = "one"\nkeys_schema = "one"\n').where["key"] == "vault.keys_schema"


def test_a_pipe_in_the_place_of_the_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsInvalid, match="a pipe, not a file"):
        settings.load(tmp_path / "pipe", {})


def test_what_is_not_toml_is_refused_with_its_place_and_without_its_text(tmp_path: Path) -> None:
    error = _refused(tmp_path, 'origin = "x"\nsecret secret')
    assert error.found is not None
    assert "line 2" in error.found
    assert "secret" not in error.message()


def test_a_file_that_is_absent_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot be read"):
        settings.load(tmp_path / "absent.toml", {})
    assert _load(tmp_path, GOOD + "#" * (settings.MAX_FILE_BYTES - len(GOOD))).listen.port == 9000
    assert "too large" in _refused(tmp_path, GOOD + "#" * (settings.MAX_FILE_BYTES - len(GOOD) + 1)).message()


def test_a_table_that_the_file_gives_as_a_value_is_refused_with_the_variable(tmp_path: Path) -> None:
    text = GOOD.replace("[vault]", "[vaults]").replace("origin", 'vault = "x"\norigin', 1)
    assert _refused(tmp_path, text, {"FLEXLEDGER_VAULT__DIR": "d"}).where["variable"] == "FLEXLEDGER_VAULT__DIR"


def _keys(schema: dict[str, Any], node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, member in node["properties"].items():
        options = [member, *member.get("anyOf", ())]
        reference = next((option["$ref"] for option in options if "$ref" in option), None)
        if reference is None:
            yield prefix + name, member
        else:
            yield from _keys(schema, schema["$defs"][reference.rpartition("/")[2]], f"{prefix}{name}.")


def test_the_schema_is_closed_and_describes_every_key() -> None:
    schema = settings.schema()
    assert all(each["additionalProperties"] is False for each in schema["$defs"].values())
    for name, member in _keys(schema, schema["$defs"]["Settings"]):
        assert member.get("description") or any(each.get("description") for each in member.get("anyOf", ())), name


def test_the_reference_page_lists_every_key_with_its_default() -> None:
    page = (REPOSITORY / "docs/reference/settings.md").read_text()
    rows = {line.split("|")[1].strip().strip("`"): line for line in page.splitlines() if line.startswith("| `")}
    schema = settings.schema()
    expected = dict(_keys(schema, schema["$defs"]["Settings"]))
    assert set(rows) == set(expected)
    for name, member in expected.items():
        default = member.get("default", msgspec.UNSET)
        shown = "required" if default is msgspec.UNSET else f"`{msgspec.json.encode(default).decode()}`"
        assert shown in rows[name], f"{name}: {shown}"


def test_the_example_on_the_reference_page_loads(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/reference/settings.md").read_text()
    lines = itertools.dropwhile(lambda line: line != "```toml", page.splitlines())
    text = "\n".join(itertools.takewhile(lambda line: line != "```", itertools.islice(lines, 1, None)))
    assert _load(tmp_path, text).origin == "ledger.example/northgate"
