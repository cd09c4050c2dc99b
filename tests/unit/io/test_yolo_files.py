"""A ``data.yaml`` from elsewhere: it names no folder of the person's, and no name is a bomb."""

from __future__ import annotations

from pathlib import Path

import pytest

from annotator.domain.errors import ImportFormatError
from annotator.io.formats.yolo_files import label_files, names_of


def written(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "data.yaml").write_text(text, "utf-8")
    return folder / "data.yaml"


def label(folder: Path, name: str = "1.txt") -> Path:
    folder.mkdir(parents=True)
    (folder / name).write_text("0 0 0 1 0 1 1\n")
    return folder / name


@pytest.mark.parametrize(
    "way", ["{0}/private", "../private", "/", "//host/share", "\\\\host\\share", "images/../../private"]
)
def test_other_folders_are_not_looked_into(tmp_path: Path, way: str) -> None:
    place = way.format(tmp_path)
    label(tmp_path / "private" / "labels")
    mine = label(tmp_path / "set" / "labels")
    for text in (f"path: '{place}'\nnames: [cell]\n", f"train: '{place}'\nnames: [cell]\n"):
        found, told = label_files(written(tmp_path / "set", text))
        assert [file for file, _stem in found] == [mine]
        assert ("are not read" in told) == ("train" in text and "host" not in place)


def test_a_link_leads_nowhere_else(tmp_path: Path) -> None:
    label(tmp_path / "private" / "labels")
    file = written(tmp_path / "set", "train: link\nnames: [cell]\n")
    (tmp_path / "set" / "link").symlink_to(tmp_path / "private" / "labels")
    found, told = label_files(file)
    assert found == []
    assert "Put data.yaml and its folders together" in told


def test_names_of_names_of_names_are_refused(tmp_path: Path) -> None:
    """Nine lines that are a gigabyte when they are written out."""
    bomb = "".join(f"n{n}: &n{n} [{', '.join([f'*n{n - 1}' if n else 'x'] * 10)}]\n" for n in range(9))
    for names in ("*n8", "[*n8]", "{0: *n8}"):
        with pytest.raises(ImportFormatError, match="class names"):
            names_of(written(tmp_path / "set", f"{bomb}names: {names}\n"))


def test_a_file_of_megabytes_is_no_list_of_names(tmp_path: Path) -> None:
    with pytest.raises(ImportFormatError, match="too large"):
        names_of(written(tmp_path / "set", "names: [x]\n" + "#" * (5 << 20)))
