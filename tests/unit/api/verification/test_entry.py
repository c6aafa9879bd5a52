"""The entry point's short way to `verify`: the same answers, without the command line's library."""

import gc
import io
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli import entry
from api.cli.entry import Call, plain_call
from tests.support.bundles import Story


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["verify", "b.json"], Call(Path("b.json"), None, False)),
        (["verify", "--json", "b.json"], Call(Path("b.json"), None, True)),
        (["verify", "b.json", "--policy", "p.toml"], Call(Path("b.json"), Path("p.toml"), False)),
    ],
)
def test_a_plain_call_is_understood(words: list[str], call: Call) -> None:
    assert plain_call(words) == call


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["audit", "folder"],
        ["verify"],
        ["verify", "--help"],
        ["verify", "a.json", "b.json"],
        ["verify", "a.json", "--policy"],
        ["verify", "a.json", "--policy", "--json"],
        ["verify", "a.json", "--policy=p.toml"],
        ["verify", "a.json", "--policy", "p", "--policy", "q"],
        ["verify", "-"],
        ["verify", ""],
    ],
)
def test_everything_else_is_left_to_the_library(words: list[str]) -> None:
    assert plain_call(words) is None


def test_the_short_way_says_what_the_long_one_says(
    story: Story, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "one.json"
    bundle.write_bytes(story.settled)
    said = []
    for words in (["verify", str(bundle), "--json"], ["verify", "--json", "--", str(bundle)]):
        monkeypatch.setattr(sys, "argv", ["flexledger", *words])
        with pytest.raises(SystemExit) as left:
            entry.main()
        assert gc.isenabled()
        gc.unfreeze()
        said.append((left.value.code, capsys.readouterr().out))
    assert said[0] == said[1]
    assert said[0][0] == 0


@pytest.mark.slow
def test_the_short_way_does_not_import_the_library(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['flexledger', 'verify', 'none.json']\n"
        "from api.cli import entry\n"
        "try:\n    entry.main()\nexcept SystemExit as left:\n    print(left.code, 'typer' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]


def test_a_name_that_is_no_text_is_printed_with_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["flexledger", "--version"])
    with pytest.raises(SystemExit):
        entry.main()
    print("a\udcff", file=out, flush=True)
    assert out.buffer.getvalue().endswith(b"a\\udcff\n")  # type: ignore[attr-defined]
