"""What a command writes never takes the place of what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator import cli
from annotator.commands.output import check_output
from annotator.domain.errors import ExportError
from tests.unit.train.scenes import write_set


def test_a_source_by_any_name_is_refused(tmp_path: Path) -> None:
    source, link = tmp_path / "base.safetensors", tmp_path / "link.safetensors"
    source.write_bytes(b"weights")
    link.symlink_to(source)
    for target in (source, link, tmp_path / "." / "base.safetensors"):
        with pytest.raises(ExportError, match="is what is read"):
            check_output(target, sources=(None, "", "nano", source))
    check_output(tmp_path / "other.safetensors", sources=(source,))


@pytest.mark.parametrize("option", ["--json", "--resume", "--pictures"])
def test_evaluating_leaves_the_annotations_alone(
    tmp_path: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_set(tmp_path / "cells", images=1)
    annotations = root / "annotations.json"
    before = annotations.read_bytes()
    words = ["evaluate", "--coco", str(annotations), "--images", str(root / "images"), "--engine", "grabcut"]
    assert cli.main([*words, option, str(annotations)]) == 2
    assert "is what is read" in capsys.readouterr().err
    assert annotations.read_bytes() == before


def test_another_json_is_no_state_to_go_on_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_set(tmp_path / "cells", images=1)
    other = tmp_path / "other.json"
    other.write_text('{"images": []}', "utf-8")
    words = ["evaluate", "--coco", str(root / "annotations.json"), "--images", str(root / "images")]
    assert cli.main([*words, "--engine", "grabcut", "--clicks", "1", "--resume", str(other)]) == 2
    assert "is not the state of an evaluation" in capsys.readouterr().err
    assert other.read_text("utf-8") == '{"images": []}'


@pytest.mark.parametrize("source", ["", "annotations.json"])
def test_studying_leaves_the_annotations_alone(tmp_path: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_set(tmp_path / "cells", images=1)
    assert cli.main(["study-clicks", str(root / source), "--json", str(root / "annotations.json")]) == 2
    assert "is what is read" in capsys.readouterr().err


def test_comparing_leaves_both_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, ours = write_set(tmp_path / "cells", images=1), tmp_path / "ours.json"
    words = ["evaluate", "--coco", str(root / "annotations.json"), "--images", str(root / "images")]
    assert cli.main([*words, "--engine", "grabcut", "--clicks", "1", "--json", str(ours)]) == 0
    before = ours.read_bytes()
    assert cli.main(["compare", str(ours), "--out", str(ours)]) == 2
    assert "is what is read" in capsys.readouterr().err
    assert ours.read_bytes() == before
