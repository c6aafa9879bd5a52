"""An address that says too little is refused before anybody connects, and no message repeats any of it."""

from pathlib import Path

import pytest

from ledger.store.postgres_address import AddressUnfit, require_address

SECRET = "canary-password"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://role@db.example/log",
        "postgres://role:word@db1.example:5432,db2.example:5433/log?sslmode=require",
        "postgresql://role:w%40rd%2F@[2001:db8::1]:5432/log",
        "postgresql://role@[2001:db8::1]/log",
        "postgresql:///log?host=/run/postgresql&user=role",
        "postgresql://role@%2Frun%2Fpostgresql/log",
    ],
)
def test_an_address_that_says_where_and_as_whom_is_taken(dsn: str) -> None:
    assert require_address(dsn) == dsn


@pytest.mark.parametrize(
    ("dsn", "found"),
    [
        (f"host=db.example password={SECRET}", "no scheme"),
        (f"mysql://role:{SECRET}@db.example/log", "another scheme"),
        (f"postgresql://role:{SECRET}@@db.example/log", "percent-encoded"),
        (f"postgresql://role:/{SECRET}@db.example/log", "percent-encoded"),
        (f"postgresql://role:#{SECRET}@db.example/log", "percent-encoded"),
        (f"postgresql://role:?{SECRET}=@db.example/log", "percent-encoded"),
        (f"postgresql://:{SECRET}@db.example/log", "no user"),
        ("postgresql://db.example/log", "no user"),
        (f"postgresql://role:{SECRET}@/log", "no host"),
        (f"postgresql://role:{SECRET}@db.example,/log", "no host"),
        (f"postgresql://role:{SECRET}@db.example", "no database"),
        (f"postgresql://role:{SECRET}@db.example/", "no database"),
        (f"postgresql://role:{SECRET}@db.example:5432x/log", "a port that is none"),
        (f"postgresql://role:{SECRET}@db.example:543210/log", "a port that is none"),
        (f"postgresql://role:{SECRET}@db1.example:x,db2.example/log", "a port that is none"),
        (f"postgresql://role:{SECRET}@[2001:db8::1/log", "not a URI"),
        (f"postgresql://role:{SECRET}@db.example/log?sslmode", "not a URI"),
        (f"postgresql://role:{SECRET}@db.example/log?sslmode=full", "an sslmode that is none of"),
    ],
)
def test_an_address_that_leaves_something_to_be_guessed_is_refused_and_not_repeated(dsn: str, found: str) -> None:
    with pytest.raises(AddressUnfit) as refused:
        require_address(dsn)
    assert found in str(refused.value.found)
    assert "postgresql://user:password@host:port/database" in str(refused.value.expected)
    assert SECRET not in str(refused.value)
    assert "db.example" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_address_that_names_a_file_which_is_not_there_says_which_parameter(tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    dsn = f"postgresql://role:{SECRET}@db.example/log?sslmode=verify-full&sslrootcert={root}"
    with pytest.raises(AddressUnfit, match="expected a file for sslrootcert"):
        require_address(dsn)
    root.write_text("")
    assert require_address(dsn) == dsn


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_verification_without_authorities_is_refused_unless_they_are_in_the_usual_place(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    dsn = f"postgresql://role@db.example/log?sslmode={mode}"
    with pytest.raises(AddressUnfit, match="expected sslrootcert"):
        require_address(dsn)
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_text("")
    assert require_address(dsn) == dsn
