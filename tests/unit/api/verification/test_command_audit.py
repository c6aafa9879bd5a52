"""`flexledger audit`: a service's database, a static log, a demo's output; what is wrong is named by its index."""

import shutil
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.verification.bundle import open_bundle
from api.verification.bundle_policy import encode_policy, policy_of
from tests.support import attacks, logs
from tests.support.bundles import Story


def run(*args: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["audit", *(str(one) for one in args)])
    return result.exit_code, result.output


@pytest.fixture
def service(story: Story, tmp_path: Path) -> Path:
    """A service's folder: data and pki."""
    shutil.copytree(story.folder, tmp_path / "data")
    shutil.copytree(story.output / "ca", tmp_path / "pki")
    return tmp_path / "data"


@pytest.fixture
def output(story: Story, tmp_path: Path) -> Path:
    return Path(shutil.copytree(story.output, tmp_path / "out"))


def test_a_services_database_is_clean_under_its_credentials(service: Path) -> None:
    code, text = run(service)
    assert code == 0, text
    assert "statements under credentials that were good then" in text
    assert "keep every rule" in text


def test_tags_of_the_database_decide_double_selling_and_reuse(service: Path) -> None:
    undecided = {
        line["code"]
        for line in msgspec.json.decode(run(service, "--json")[1])["lines"]
        if line["status"] == "UNDECIDED"
    }
    assert "rules/double-selling" not in undecided
    assert "rules/batch-reused" not in undecided
    assert "rules/person-unproven" in undecided


def test_without_certificates_signatures_are_indeterminate(service: Path) -> None:
    shutil.rmtree(service.parent / "pki")
    code, text = run(service)
    assert code == 3
    assert "verify/no-certificates" in text


def test_a_demos_output_is_audited_with_its_bundles(output: Path) -> None:
    code, text = run(output)
    assert code == 0, text
    assert "one.json" in text


def test_a_refuted_bundle_beside_the_log_is_a_finding(output: Path) -> None:
    path = output / "bundles" / "one.json"
    path.write_bytes(path.read_bytes()[:-1] + b" }")
    code, text = run(output)
    assert code == 1
    assert "ledger/not-canonical" in text


def test_a_static_log_alone_is_whole_but_its_signers_are_unknown(output: Path) -> None:
    shutil.rmtree(output / "ca")
    code, text = run(output / "log")
    assert code == 3
    assert "signed checkpoints" in text


def test_an_edited_entry_is_named_by_its_index(service: Path) -> None:
    with logs.unfenced(service / "ledger.db") as db:
        attacks.body(db, 5)
    code, text = run(service, "--json")
    assert code == 1
    lines = [line for line in msgspec.json.decode(text)["lines"] if line["status"] == "REFUTED"]
    assert ("ledger/body-edited", 5) in {(line["code"], line["where"].get("index")) for line in lines}


def test_the_policy_brings_key_and_roots(story: Story, service: Path, tmp_path: Path) -> None:
    policy = policy_of(open_bundle(story.settled))
    path = tmp_path / "policy.json"
    path.write_bytes(encode_policy(policy))
    (service / "vkey").unlink()
    assert run(service, "--policy", path)[0] == 0
    assert run(service)[0] == 2
    path.write_bytes(encode_policy(msgspec.structs.replace(policy, vkey=logs.signer().vkey)))
    code, text = run(service, "--policy", path)
    assert code == 1
    assert "ledger/checkpoint-unverified" in text


def test_a_folder_without_a_log_is_unusable(tmp_path: Path) -> None:
    code, text = run(tmp_path)
    assert code == 2
    assert "no log in this directory" in text
