"""The requirement files pin everything by hash, agree with pyproject.toml, and name no place to get it from."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.vectors import REPOSITORY

FILES = sorted(path.name for path in REPOSITORY.glob("requirements*.txt"))
PLACE = re.compile(r"://|^\s*-(?!-hash)|--(?!hash=)[a-z-]+| @ |\bfile:", re.MULTILINE)
"""An address, an option other than --hash, or a direct reference."""
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def logical_lines(name: str) -> list[str]:
    """One line a requirement, its hashes on it."""
    text = (REPOSITORY / name).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pins(name: str) -> dict[str, str]:
    """Version by canonical name."""
    found: dict[str, str] = {}
    for line in logical_lines(name):
        requirement = Requirement(HASH.sub("", line).strip())
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", line
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


def wanted(*extras: str) -> list[Requirement]:
    """What pyproject.toml asks for, with these extras."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    return [Requirement(line) for line in lines]


def test_there_are_requirement_files() -> None:
    assert {"requirements.txt", "requirements-test.txt", "requirements-build.txt"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_requirement_file_names_no_index_host_or_address(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert PLACE.findall(text) == []
    comments = [line for line in text.splitlines() if line.lstrip().startswith("#")]
    assert [line for line in comments if re.search(r"[a-z0-9-]+\.(org|com|net|io|dev)\b", line)] == []


@pytest.mark.parametrize("name", FILES)
def test_every_requirement_is_pinned_with_a_hash(name: str) -> None:
    lines = logical_lines(name)
    assert lines != []
    assert [line.split(" ")[0] for line in lines if not HASH.search(line)] == []
    assert len(pins(name)) == len(lines)


@pytest.mark.parametrize(
    ("name", "extras"),
    [("requirements.txt", ("server",)), ("requirements-test.txt", ("server", "test", "postgres"))],
)
def test_what_the_project_asks_for_is_pinned_within_its_range(name: str, extras: tuple[str, ...]) -> None:
    pinned = pins(name)
    for requirement in wanted(*extras):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {name}"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} is pinned to {version}"


def test_the_tests_run_with_the_versions_that_the_service_runs_with() -> None:
    tested = pins("requirements-test.txt")
    assert {name: version for name, version in pins("requirements.txt").items() if tested.get(name) != version} == {}


def test_every_dependency_has_a_line_that_says_why() -> None:
    page = (REPOSITORY / "docs" / "dependencies.md").read_text(encoding="utf-8")
    named = {canonicalize_name(name) for name in re.findall(r"^\| `([A-Za-z0-9._-]+)` \|", page, re.MULTILINE)}
    assert named == {canonicalize_name(one.name) for one in wanted("server", "postgres", "hsm")}


MODULES = {"pyjwt": "jwt", "prometheus-client": "prometheus_client", "python-pkcs11": "pkcs11"}
"""Where the name that is imported is not the distribution's."""
INDIRECT = {"httptools"}
"""Imported by another distribution on our behalf."""


def importers(module: str) -> set[str]:
    """The files of what ships that import a module."""
    wanted = re.compile(rf"^\s*(?:from|import) {module}\b", re.MULTILINE)
    sources = [path for package in ("pki", "ledger", "api") for path in (REPOSITORY / package).rglob("*.py")]
    return {path.relative_to(REPOSITORY).as_posix() for path in sources if wanted.search(path.read_text("utf-8"))}


def test_the_page_of_dependencies_says_truly_who_imports_what() -> None:
    page = (REPOSITORY / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Za-z0-9._-]+)` \| ([^|]+) \| ([^|]+) \|", page, re.MULTILINE)
    assert len(rows) > 10
    for name, why, where in rows:
        found = importers(MODULES.get(name, name))
        if name not in INDIRECT:
            assert why.startswith("nothing yet") == (found == set()) == (where.strip() == "nowhere"), name
        places = re.findall(r"`((?:pki|ledger|api)[\w./]*)`", where)
        assert [place for place in places if not (REPOSITORY / place).exists()] == []
        if where.strip().endswith("only"):
            assert [file for file in found if not file.startswith(tuple(places))] == [], name


@pytest.mark.parametrize(
    "line", ["--index-url x", "-i x", "a @ file:b", "https://x", "--extra-index-url=x", "-r other.txt", "-e ."]
)
def test_the_search_for_addresses_finds_them(line: str) -> None:
    assert PLACE.search(line) is not None
