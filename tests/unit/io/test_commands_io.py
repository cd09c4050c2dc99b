from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType

import pytest

from annotator.commands import export, import_
from annotator.domain.errors import ExportError, ImportFormatError, ProjectError, ProjectReadOnlyError
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder


def call(module: ModuleType, *arguments: object) -> int:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return int(module.run(parser.parse_args([str(argument) for argument in arguments])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path)


def test_there_and_back(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9, hole=3))
        # The project stays open here, as in the window: an export only reads.
        assert call(export, folder, "--out", tmp_path / "a.json", "--segmentation", "rle") == 0
        assert "self-check: 1 object" in capsys.readouterr().out
        assert call(export, store.path, "--format", "polygons", "--out", tmp_path / "poly") == 0
        with pytest.raises(ProjectReadOnlyError, match="open in another program"):
            call(import_, folder, tmp_path / "a.json")
    other = image_folder(tmp_path / "other")
    assert call(import_, other, tmp_path / "a.json", "--author", "bert") == 0
    assert "imported" in capsys.readouterr().out
    assert call(export, other / "set.annot", "--out", tmp_path / "b.json", "--segmentation", "rle") == 0
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("a.json", "b.json"))
    for part in ("images", "categories", "annotations"):
        assert first[part] == second[part]


def test_options(folder: Path, tmp_path: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9))
    for option, count in (([], 1), (["--all-images"], 3), (["--finished-only"], 0)):
        call(export, folder, "--out", tmp_path / "a.json", *option)
        assert len(json.loads((tmp_path / "a.json").read_text())["images"]) == count


def test_mistakes(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no project in"):
        call(export, folder, "--out", tmp_path / "a.json")
    assert not list(folder.glob("*.annot"))
    with pytest.raises(ProjectError, match="no project file"):
        call(export, tmp_path / "no.annot", "--out", tmp_path / "a.json")
    with pytest.raises(ImportFormatError, match="no file"):
        call(import_, folder, tmp_path / "no.json")
    with pytest.raises(ExportError, match="COCO only"):
        call(export, folder, "--format", "polygons", "--segmentation", "rle", "--out", tmp_path / "p")
    for name in ("set.annot", "1.png"):
        before = (folder / name).read_bytes()
        with pytest.raises(ExportError, match="another name"):
            call(export, folder, "--out", folder / name)
        assert (folder / name).read_bytes() == before
    with pytest.raises(SystemExit):
        call(export, folder, "--format", "nonsense", "--out", tmp_path / "p")


@pytest.mark.parametrize("kind", ["coco", "polygons"])
def test_an_export_names_what_is_not_accepted(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    point = {"points": [[9.5, 9.5, 1]], "box": None}
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9))
        store.save_drafts({1: point, 3: {**point, "accepted": [{**point, "accepted_as": 1}]}})
    call(export, folder, "--format", kind, "--out", tmp_path / "out")
    told = capsys.readouterr().out.splitlines()[-1]
    held = "2 images hold 3 objects that are not accepted: 1.png, sub/1.png"
    assert told == f"warning: {held}; this is not in the export"
    with ProjectStore.open_folder(folder) as store:
        store.save_drafts({1: None, 3: None})
    call(export, folder, "--format", kind, "--out", tmp_path / "out")
    assert "accepted" not in capsys.readouterr().out
