"""`flexledger audit`: a service's database, a static log, a demo's output; what is wrong is named by its index."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from api.cli.main import app
from api.verification.bundle import open_bundle
from api.verification.bundle_policy import encode_policy, policy_of
from ledger.reader import Reader
from tests.support import attacks, logs
from tests.support.bundles import Story

pytestmark = pytest.mark.slow  # takes seconds


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
    assert "1 signed checkpoint" in text


def test_an_edited_entry_is_named_by_its_index(service: Path) -> None:
    with logs.unfenced(service / "ledger.db") as db:
        attacks.body(db, 5)
    code, text = run(service, "--json")
    assert code == 1
    lines = [line for line in msgspec.json.decode(text)["lines"] if line["status"] == "REFUTED"]
    assert ("ledger/body-edited", 5) in {(line["code"], line["where"].get("index")) for line in lines}


@pytest.mark.parametrize(
    "kind", ["request", "contract", "site", "batch", "root", "claim", "tags-at", "found-at", "found-among"]
)
def test_a_changed_row_of_the_rules_state_is_named_by_its_key(service: Path, kind: str) -> None:
    with logs.unfenced(service / "ledger.db") as db:
        (key,) = db.execute("SELECT key FROM projection WHERE kind = ? AND value IS NOT NULL", (kind,)).fetchone()
        db.execute("UPDATE projection SET value = x'7b7d' WHERE kind = ? AND key = ?", (kind, key))
    code, text = run(service, "--json")
    assert code == 1
    lines = [line for line in msgspec.json.decode(text)["lines"] if line["status"] == "REFUTED"]
    found = [(line["code"], line["where"].get("kind"), line["where"].get("key")) for line in lines]
    assert found == [("ledger/projection-differs", kind, key)]


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


def test_a_services_folder_is_as_good_as_its_data_folder(service: Path) -> None:
    assert run(service.parent) == run(service)


def test_a_roots_mark_is_refused_as_verify_refuses_it(story: Story, service: Path, tmp_path: Path) -> None:
    policy = msgspec.structs.replace(policy_of(open_bundle(story.settled)), development=False)
    path, bundle = tmp_path / "policy.json", tmp_path / "one.json"
    path.write_bytes(encode_policy(policy))
    bundle.write_bytes(story.settled)
    code, text = run(service, "--policy", path, "--json")
    lines = msgspec.json.decode(text)["lines"]
    assert [(line["check"], line["code"]) for line in lines if line["status"] == "REFUTED"] == [
        ("anchors", "pki/development-credential")
    ]
    verified = CliRunner().invoke(app, ["verify", str(bundle), "--policy", str(path), "--json"])
    assert verified.exit_code == code == 1
    assert ("anchors", "pki/development-credential") in {
        (line["check"], line["code"]) for line in msgspec.json.decode(verified.output)["lines"]
    }


def test_a_cut_tail_with_cut_checkpoints_is_shown_by_one_that_was_kept(service: Path, tmp_path: Path) -> None:
    with logs.unfenced(service / "ledger.db") as db:
        ((note, size),) = db.execute("SELECT note, size FROM checkpoint ORDER BY size DESC LIMIT 1").fetchall()
        (tmp_path / "kept").write_bytes(note)
        attacks.cut_tail(db, 3)
        db.execute("DELETE FROM checkpoint WHERE size > (SELECT size FROM head)")
    named = {(line["code"], line["where"].get("file")) for line in refuted(run(service, "--json")[1])}
    assert "ledger/truncated" not in {code for code, _ in named}
    lines = refuted(run(service, "--checkpoint", tmp_path / "kept", "--json")[1])
    (cut,) = [line for line in lines if line["code"] == "ledger/truncated"]
    assert cut["where"] == {"index": size - 3, "file": "kept"}


def test_the_signers_memory_shows_a_cut_tail_and_its_own_rollback(service: Path) -> None:
    with logs.unfenced(service / "ledger.db") as db:
        notes = [row[0] for row in db.execute("SELECT note FROM checkpoint ORDER BY size").fetchall()]
    state = service.parent / "keys" / "log.state"
    state.parent.mkdir(exist_ok=True)
    state.write_bytes(notes[0])
    (behind,) = refuted(run(service, "--json")[1])
    assert (behind["code"], behind["where"]["file"]) == ("ledger/signer-state-behind", "log.state")
    state.write_bytes(notes[-1])
    assert run(service)[0] == 0
    with logs.unfenced(service / "ledger.db") as db:
        attacks.cut_tail(db, 3)
        db.execute("DELETE FROM checkpoint WHERE size > (SELECT size FROM head)")
    named = {(line["code"], line["where"].get("file")) for line in refuted(run(service, "--json")[1])}
    assert ("ledger/truncated", "log.state") in named


def test_a_request_is_complete_once_its_stream_is_closed(story: Story, service: Path) -> None:
    lines = msgspec.json.decode(run(service, "--request", fsr_of(story), "--json")[1])["lines"]
    (complete,) = [line for line in lines if line["check"] == "completeness"]
    assert complete["status"] == "VERIFIED", complete
    assert complete["where"]["stream"] == f"fsr/{fsr_of(story)}"


def test_a_request_that_lost_an_entry_is_not_complete(story: Story, service: Path) -> None:
    with logs.unfenced(service / "ledger.db") as db:
        rows = db.execute("SELECT idx, data FROM entry ORDER BY idx").fetchall()
        mine = [index for index, data in rows if f'"stream":"fsr/{fsr_of(story)}"'.encode() in data]
        db.execute("DELETE FROM entry WHERE idx = ?", (mine[1],))
    lines = msgspec.json.decode(run(service, "--request", fsr_of(story), "--json")[1])["lines"]
    (hidden,) = [line for line in lines if line["check"] == "completeness"]
    assert (hidden["status"], hidden["code"]) == ("REFUTED", "ledger/seq-gap")


def test_a_request_that_the_log_does_not_know_is_indeterminate(service: Path) -> None:
    code, text = run(service, "--request", "fsr-none")
    assert code == 3
    assert "ledger/stream-absent" in text


def test_the_rules_are_replayed_beside_the_rest_with_the_same_answer(
    service: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run(service, "--jobs", "1", "--json")
    monkeypatch.setattr("api.cli.audit.BESIDE_ENTRIES", 1)
    monkeypatch.setattr("ledger.audit.run.MIN_SIGNED_BLOCKS", 0.1)
    assert run(service, "--jobs", "2", "--json") == alone


@pytest.mark.parametrize("name", ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1"])
def test_a_pipe_in_the_place_of_a_file_hangs_nothing(output: Path, name: str) -> None:
    log = output / "log"
    path = next(log.glob(name.replace("/1", "/*")))
    path.unlink()
    os.mkfifo(path)
    code, _ = run(log)
    assert code in (1, 2)


def test_a_pipe_for_a_policy_or_a_checkpoint_is_unusable(service: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for option in ("--policy", "--checkpoint"):
        code, text = run(service, option, tmp_path / "pipe")
        assert (code, "not a file" in text) == (2, True)


def test_an_interrupt_is_not_taken_for_a_finding(service: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.cli.audit.audits.audit", interrupted)
    code, text = run(service)
    assert code == 130
    assert "nothing was found out" in text


def test_a_replayed_statement_is_named_in_a_static_log_too(tmp_path: Path) -> None:
    asyncio.run(replayed(tmp_path))
    for folder in (tmp_path / "static", tmp_path / "data"):
        (line,) = [one for one in refuted(run(folder, "--json")[1]) if one["code"] == "ledger/statement-replayed"]
        assert (line["where"]["index"], line["where"]["previous_index"]) == (10, 4)


async def replayed(folder: Path) -> None:
    """A log of ten entries and one of them again, signed and exported, as an operator would do it who may sign."""
    path = await logs.build(folder, 10)
    with logs.unfenced(path) as db:
        attacks.replay(db, 4)
    log = await logs.begin(folder)
    await log.publisher.publish()
    Reader(log.store).export_static(folder / "static", vkey=logs.signer().vkey)
    await log.close()
    (folder / "data").mkdir()
    shutil.copy(path, folder / "data" / "ledger.db")
    (folder / "data" / "vkey").write_text(logs.signer().vkey)


def test_no_message_names_a_class_of_the_language(service: Path, tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_bytes(b"{")
    for words in (("--policy", tmp_path / "policy.json"), ("--policy", tmp_path / "none")):
        assert "Error" not in run(service, *words)[1]


def refuted(text: str) -> list[dict[str, Any]]:
    return [line for line in msgspec.json.decode(text)["lines"] if line["status"] == "REFUTED"]


def fsr_of(story: Story) -> str:
    return open_bundle(story.settled).fsr_id


def test_a_folder_without_a_log_is_unusable(tmp_path: Path) -> None:
    code, text = run(tmp_path)
    assert code == 2
    assert "no log in this directory" in text


def test_a_mirror_that_lies_elsewhere_is_compared_and_names_what_was_replaced(service: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    done = CliRunner().invoke(app, ["mirror", "update", str(service), str(kept)])
    assert done.exit_code == 0, done.output
    code, text = run(service, "--mirror", kept)
    assert code == 0, text
    assert "from the first on are those of kept" in text
    with logs.unfenced(service / "ledger.db") as db:
        attacks.body_tree_and_chain(db, 5)
    code, text = run(service, "--mirror", kept, "--json")
    assert code == 1
    lines = [line for line in msgspec.json.decode(text)["lines"] if line["code"] == "ledger/entry-replaced"]
    assert lines[0]["where"]["index"] == 5
    assert lines[0]["where"]["file"] == "kept"
    assert lines[0]["status"] == "REFUTED"


def test_a_mirror_that_does_not_add_up_is_indeterminate_and_never_a_pass(service: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert CliRunner().invoke(app, ["mirror", "update", str(service), str(kept)]).exit_code == 0
    (tile,) = [path for path in (kept / "tile" / "0").rglob("*") if path.is_file()]
    tile.write_bytes(bytes(len(tile.read_bytes())))
    code, text = run(service, "--mirror", kept)
    assert code == 3, text
    assert "ledger/copy-unusable" in text
    assert "are those of kept" not in text


def test_a_mirror_that_cannot_be_told_apart_or_is_none_is_unusable(service: Path, tmp_path: Path) -> None:
    assert run(service, "--mirror", tmp_path / "nowhere")[0] == 2
    for name in ("a", "b"):
        kept = tmp_path / name / "kept"
        assert CliRunner().invoke(app, ["mirror", "update", str(service), str(kept)]).exit_code == 0
    code, text = run(service, "--mirror", tmp_path / "a" / "kept", "--mirror", tmp_path / "b" / "kept")
    assert (code, "two mirrors have one name" in text) == (2, True)
