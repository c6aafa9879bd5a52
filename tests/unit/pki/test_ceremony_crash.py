"""A later ceremony that is killed, at whatever step, is finished by performing the same file again: the same
generations, each with one key and one certificate, and one transcript."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from pki import begun, ceremony, durable, keys, succession, vouching
from pki.begun import BegunUnreadable, CeremonyUnfinished
from pki.ceremony import BadSpec, CeremonySpec
from pki.hierarchy import Hierarchy
from pki.journal import MemoryJournal
from pki.roles import Group
from pki.rollover import RollOverRefused
from pki.store.records import CeremonyReplayed
from pki.store.sqlite import SqliteStore
from tests.support import softhsm

NOW_MS = 1_767_225_600_000
LATER_MS = NOW_MS + 86_400_000
SPEC = CeremonySpec(organisation="Test", ceremony="2026 first", root_days=3650, issuing_days=365)
LATER = b"""
ceremony = "2027 roots"
[[steps]]
act = "follow-root"
[[steps]]
act = "adopt-root"
log = "ledger.example/north"
from = 2027-01-01T00:00:00Z
[[steps]]
act = "follow"
group = "FO"
"""
OTHER = LATER.replace(b"2027 roots", b"2027 other")
EFFECTS: tuple[tuple[object, str], ...] = (
    (durable, "write"),
    (keys, "save_private"),
    (Path, "rename"),
    (SqliteStore, "plan"),
    (SqliteStore, "finish"),
    (SqliteStore, "recorded"),
    (SqliteStore, "next_crl_number"),
    (SqliteStore, "add_ceremony"),
)
"""Everything that a later ceremony leaves behind, anywhere."""


class Killed(BaseException):
    """The process ends here: no handler of ours for ordinary errors may run."""


class Place:
    """The folder of a first ceremony, in which each process begins from what is on the medium."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.published: list[list[str]] = []

    def perform(self, data: bytes = LATER, *, now_ms: int = LATER_MS) -> succession.Succession:
        store = SqliteStore(self.folder / "issued.db")
        try:
            return succession.perform(
                succession.parse_spec(data),
                self.load(store),
                now_ms=now_ms,
                folder=self.folder / "authorities",
                password=None,
                root_folder=self.folder / "root",
                root_password=b"safe",
                publish=lambda done: self.published.append(sorted(done.crls)),
            )
        finally:
            store.close()

    def load(self, store: SqliteStore) -> Hierarchy:
        return Hierarchy.load(
            self.folder / "authorities",
            None,
            store=store,
            journal=MemoryJournal(),
            root_folder=self.folder / "root",
            root_password=b"safe",
        )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    store = SqliteStore(folder / "issued.db")
    made = ceremony.perform(SPEC, tls_now_ms=NOW_MS, signing_now_ms=NOW_MS, store=store)
    made.hierarchy.save(folder / "authorities", None, root_folder=folder / "root", root_password=b"safe")
    store.close()
    return folder


@pytest.fixture
def place(first: Path, tmp_path: Path) -> Place:
    return Place(Path(shutil.copytree(first, tmp_path / "place")))


def _killing(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> Callable[[], int]:
    """From now on the effect number `at` ends the process, before it is done or after; the answer counts them."""
    count = 0

    def wrapped(whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at and not after:
                raise Killed
            answer = whole(*given, **named)
            if count == at:
                raise Killed
            return answer

        return call

    for owner, name in EFFECTS:
        monkeypatch.setattr(owner, name, wrapped(getattr(owner, name)))
    return lambda: count


def _count(first: Path, folder: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        counted = _killing(patch, 0, after=False)
        Place(Path(shutil.copytree(first, folder))).perform()
        return counted()


@pytest.mark.slow
def test_a_ceremony_that_is_killed_at_any_step_makes_the_same_generations_when_it_is_performed_again(
    first: Path, tmp_path: Path
) -> None:
    steps = _count(first, tmp_path / "whole")
    assert steps > len(EFFECTS)
    # After one effect is before the next one, but after the last.
    for at, after in (*((at, False) for at in range(1, steps + 1)), (steps, True)):
        place = Place(Path(shutil.copytree(first, tmp_path / f"{at}-{after}")))
        with pytest.MonkeyPatch.context() as patch:
            _killing(patch, at, after=after)
            with pytest.raises(Killed):
                place.perform()
        _finish(place)
    place.perform(OTHER, now_ms=LATER_MS + 180_000)


def _finish(place: Place) -> None:
    """Performed again, a minute later: it is whole, and done once."""
    store = SqliteStore(place.folder / "issued.db")
    is_done = store.ceremony("2027 roots") is not None
    store.close()
    if is_done:
        assert place.published
    else:
        done = place.perform(now_ms=LATER_MS + 60_000)
        assert [one.name for one in done.made] == ["root-g2", "fo-g2"]
    with pytest.raises(CeremonyReplayed):
        place.perform(now_ms=LATER_MS + 120_000)
    store = SqliteStore(place.folder / "issued.db")
    hierarchy = place.load(store)
    # One generation more of each, each with the key that lies there, and certified once.
    assert sorted(one.name for one in hierarchy.authorities() if "-g" in one.name) == ["fo-g2", "root-g2"]
    assert hierarchy.root.name == "root-g2"
    assert hierarchy.issuing[Group.FO].root == hierarchy.root.certificate
    issued = [one.profile for one in store.find()]
    assert (issued.count("ROOT/v1"), issued.count("FO/AUTHORITY/v1")) == (2, 2)
    assert store.gaps() == []
    # Transcript and paper say what is there.
    (text,) = (place.folder / "authorities" / "transcripts").glob("*.json")
    signature = text.with_suffix(".sig").read_bytes()
    key = hierarchy.root.certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(signature, text.read_bytes(), ec.ECDSA(hashes.SHA384()))
    lines = {one["name"]: one["key_sha256"] for one in json.loads(text.read_bytes())["authorities"]}
    assert lines == {one.name: one.key_sha256 for one in (hierarchy.root, hierarchy.issuing[Group.FO])}
    (paper,) = (place.folder / "authorities" / "papers").glob("*.json")
    said = vouching.parse(paper.read_bytes())
    assert isinstance(said, vouching.Adoption)
    before = next(one for one in hierarchy.roots() if one.name == "root")
    assert vouching.require_adopted(said, by=before.certificate, at_ms=LATER_MS) == hierarchy.root.certificate
    # Nothing is left of a key that never became one.
    assert not list(place.folder.rglob("*.part"))
    store.close()


def test_while_a_ceremony_is_not_finished_no_other_one_begins(place: Place) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore, "finish", _end)
        with pytest.raises(Killed):
            place.perform()
    for other in (OTHER, LATER + b'[[steps]]\nact = "root-list"\n'):
        with pytest.raises(CeremonyUnfinished) as refused:
            place.perform(other)
        assert refused.value.code == "pki/ceremony-unfinished"
        assert "2027 roots" in str(refused.value.expected)
    assert [one.name for one in place.perform().made] == ["root-g2", "fo-g2"]


def _end(*_: Any, **__: Any) -> None:
    raise Killed


def test_what_a_begun_ceremony_wrote_down_is_not_guessed_at(place: Place) -> None:
    records = place.folder / "authorities" / "transcripts"
    records.mkdir(exist_ok=True)
    (records / begun.FILE).write_bytes(b"{")
    with pytest.raises(BegunUnreadable) as broken:
        place.perform()
    assert broken.value.code == "pki/begun-unreadable"


def test_what_cannot_be_done_is_refused_before_anything_is_written_down(place: Place) -> None:
    root_ends_ms = NOW_MS + 3649 * 86_400_000
    late = b'ceremony = "late"\n[[steps]]\nact = "follow"\ngroup = "FO"\n'
    with pytest.raises(RollOverRefused):
        place.perform(late, now_ms=root_ends_ms)
    alone = LATER.replace(b'[[steps]]\nact = "follow-root"\n', b"")
    by = LATER.replace(b"from =", b'by = "root-g7"\nfrom =')
    retired = b'ceremony = "x"\n[[steps]]\nact = "retire-root"\nlog = "a.example/b"\nroot = "root"\nuntil = 2027-01-01T00:00:00Z\n'
    for wrong in (alone, by, retired):
        with pytest.raises(BadSpec):
            place.perform(wrong)
    without_zone = LATER.replace(b"2027-01-01T00:00:00Z", b"2027-01-01T00:00:00")
    with pytest.raises(BadSpec):
        place.perform(without_zone)
    assert not (place.folder / "authorities" / "transcripts" / begun.FILE).exists()


def test_a_key_that_was_made_in_a_token_before_the_kill_is_the_generations_key(place: Place) -> None:
    label = f"t-{uuid4().hex[:12]}"
    softhsm.token(label)
    data = (
        f'ceremony = "token"\n[[steps]]\nact = "follow"\ngroup = "FO"\nkey = "{softhsm.uri(label, "fo-g2")}"\n'.encode()
    )
    with pytest.MonkeyPatch.context() as patch:
        whole = durable.write

        def write(path: Path, data: bytes, **named: Any) -> None:
            if path.name == "fo-g2.key.uri":
                raise Killed
            whole(path, data, **named)

        patch.setattr(durable, "write", write)
        with pytest.raises(Killed):
            place.perform(data)
    (made,) = place.perform(data).made
    assert made.name == "fo-g2"
    assert (place.folder / "authorities" / "fo-g2.key.uri").read_text().startswith(f"pkcs11:token={label}")
