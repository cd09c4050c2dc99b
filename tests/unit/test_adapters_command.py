"""``annotator adapters``: what is here, in and out, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator import cli
from annotator.engine import weights
from annotator.engine.sam2 import adapter_files as files
from tests.unit.engine.test_adapter_files import write_adapter


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One adapter that came with the program."""
    write_adapter(tmp_path / "program" / "adapters" / "roofs.safetensors", name="roofs")
    monkeypatch.setattr(weights, "shipped_dir", lambda: tmp_path / "program")
    return tmp_path / "program"


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert cli.main(["adapters", *words]) == code
    shown = capsys.readouterr()
    assert code == 0 or (shown.out, shown.err.count("\n")) == ("", 1)
    return shown.out + shown.err


def test_nothing_here_says_how_to_get_one(capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(weights, "shipped_dir", lambda: tmp_path)
    assert "annotator train-adapter" in said(capsys, "list")


def test_an_adapters_whole_life(shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_adapter(tmp_path / "a.safetensors", 1, date="2026-01-01")
    assert "installed nuclei for nano" in said(capsys, "import", str(first))
    lines = said(capsys, "list").splitlines()
    assert [line.split()[:2] for line in lines] == [["nuclei", "nano"], ["roofs", "nano"]]
    assert "bIoU 0.610 -> 0.680" in lines[0]
    assert "installed" in lines[0]
    assert "came with the program" in lines[1]
    said(capsys, "import", str(write_adapter(tmp_path / "b.safetensors", 2, date="2026-02-02")))
    assert "trained 2026-01-01" in said(capsys, "rollback", "nuclei")
    assert (files.adapters_dir() / "nuclei.safetensors").read_bytes() == first.read_bytes()
    assert "trained 2026-02-02" in said(capsys, "rollback", "nuclei")
    card = said(capsys, "card", "nuclei")
    assert card.startswith("# Adapter: nuclei")
    assert "2026-02-02" in card
    out = tmp_path / "usb"
    out.mkdir()
    assert "nuclei.safetensors and its card" in said(capsys, "export", "nuclei", str(out))
    assert (out / "nuclei.md").read_text() == card
    said(capsys, "remove", "nuclei")
    assert [path.name for path, _ in files.list_adapters()] == ["roofs.safetensors"]


def test_what_came_with_the_program_can_be_shown_and_copied_but_not_removed(
    shipped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "# Adapter: roofs" in said(capsys, "card", "roofs")
    said(capsys, "export", "roofs", str(tmp_path / "mine"))
    assert (tmp_path / "mine.safetensors").is_file()
    assert "came with the program" in said(capsys, "remove", "roofs", code=2)
    assert "no version of roofs before" in said(capsys, "rollback", "roofs", code=2)


@pytest.mark.parametrize(
    "words", [["card", "absent"], ["remove", "absent"], ["rollback", "../x"], ["export", "absent", "x"]]
)
def test_mistakes_are_one_line_and_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *words, code=2).startswith("annotator: ")


def test_a_file_that_is_no_adapter_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    assert "not a readable safetensors file" in said(capsys, "import", str(tmp_path / "x.safetensors"), code=2)
    assert "no adapter file" in said(capsys, "import", str(tmp_path / "none.safetensors"), code=2)
