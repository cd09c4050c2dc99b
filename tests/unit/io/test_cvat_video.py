"""CVAT for video: what CVAT's own rules make of the file is what the project has."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotator.cli import main
from annotator.domain.attributes import Attribute, AttributeForm
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.domain.project import Category, Edit, RowChange
from annotator.io.formats import cvat_video
from annotator.io.formats.cvat_video import export_cvat_video
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept
from tests.unit.io.test_clip_formats import FRAMES, HEIGHT, WIDTH, folder_of, square

NAME = 'car <"&> \x07'


def ragged() -> Mask:
    """Two parts, a hole, and a slanted edge."""
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[5:20, 5:20] = True
    full[8:12, 9:15] = False
    full[30:36, 40:50] = True
    full |= np.add.outer(np.arange(HEIGHT), -np.arange(WIDTH)) > 30
    return Mask.from_full(full)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    """Track 3 on frames 0, 1 and 3 (a pause), track 7 carried on 3 and 4, an object without a track on 2."""
    with ProjectStore.open_folder(folder_of(tmp_path / "images")) as store:
        (category,) = store.categories()
        renamed = replace(category, name=NAME)
        colour = Attribute(1, "colour", form=AttributeForm.ONE, extra={"choices": ["red", "a & b"], "default": "red"})
        store.apply(Edit("rename", (RowChange(category, renamed), RowChange(None, colour))))
        images = {image.frame: image.id for image in store.images() if image.series_id}
        said = {"attributes": {"occluded": True, "colour": "a & b"}}
        accept(store, images[0], ragged(), track_id=3)
        accept(store, images[1], square(8, 8), track_id=3, extra=said)
        accept(store, images[3], square(14, 8), track_id=3)
        for frame in (3, 4):
            accept(store, images[frame], square(20, 20), track_id=7, origin="propagated")
        accept(store, images[2], square(30, 20), track_id=0)
        yield store


def shown(file: Path, tag: str) -> dict[tuple[str, int], ElementTree.Element]:
    """What CVAT shows, by track and frame: shapes of key frames hold until the next one, and the last to the end."""
    found: dict[tuple[str, int], ElementTree.Element] = {}
    for track in ElementTree.parse(file).getroot().iter("track"):
        keys = {int(shape.get("frame", "")): shape for shape in track.iter(tag) if shape.get("keyframe") == "1"}
        held = None
        for frame in range(FRAMES):
            held = keys.get(frame, held)
            if held is not None and held.get("outside") == "0":
                name = track.get("group_id") or track.get("id") or ""
                assert (name, frame) not in found
                found[name, frame] = held
    return found


WANTED = {("3", 0), ("3", 1), ("3", 3), ("7", 3), ("7", 4), ("8", 2)}


def test_polygons_are_tracks_with_pauses_and_ends(store: ProjectStore, tmp_path: Path) -> None:
    report = export_cvat_video(store, tmp_path / "out", tolerance_px=0.0)
    file = tmp_path / "out/a_clip.tif.xml"
    root = ElementTree.parse(file).getroot()
    assert [root.findtext("version"), root.findtext("meta/task/mode")] == ["1.1", "interpolation"]
    assert root.findtext("meta/task/size") == str(FRAMES)
    assert [root.findtext(f"meta/task/original_size/{side}") for side in ("width", "height")] == ["60", "40"]
    label = 'car <"&> \ufffd'
    assert [row.findtext("name") for row in root.iter("label")] == [label]
    tracks = list(root.iter("track"))
    assert [(t.get("id"), t.get("label"), t.get("source")) for t in tracks] == [
        ("3", label, "manual"),
        ("7", label, "auto"),
        ("8", label, "manual"),
    ]
    assert [(s.get("frame"), s.get("outside")) for s in tracks[0]] == [
        *(("0", "0"), ("1", "0"), ("2", "1"), ("3", "0"), ("4", "1"))
    ]
    found = shown(file, "polygon")
    assert found.keys() == WANTED
    assert {at for at, shape in found.items() if shape.get("occluded") == "1"} == {("3", 1)}
    values = {row.get("name"): row.text for row in found["3", 1]}
    assert values == {"track_id": "3", "colour": "a & b"}
    assert found["7", 3].get("points", "").count(";") == 3
    assert report.check.worst_iou == 1.0
    assert any("bridged into one polygon" in line and "1 object" in line for line in report.lines())


def test_masks_are_exact_and_a_track_a_frame(store: ProjectStore, tmp_path: Path) -> None:
    export_cvat_video(store, tmp_path / "out", shapes="mask")
    found = shown(tmp_path / "out/a_clip.tif.xml", "mask")
    assert found.keys() == WANTED
    for at, mask in ((("3", 0), ragged()), (("3", 1), square(8, 8)), (("8", 2), square(30, 20))):
        drawn = np.zeros((HEIGHT, WIDTH), bool)
        left, top, w, h = (int(found[at].get(key, "")) for key in ("left", "top", "width", "height"))
        value, pixels = False, list[bool]()
        for run in found[at].get("rle", "").split(","):
            pixels += [value] * int(run)
            value = not value
        drawn[top : top + h, left : left + w] = np.array(pixels).reshape(h, w)
        assert np.array_equal(drawn, mask.full())
    ids = [track.get("id") for track in ElementTree.parse(tmp_path / "out/a_clip.tif.xml").getroot().iter("track")]
    assert len(set(ids)) == len(ids) == len(WANTED)


CHANGES = (('outside="1"', 'outside="0"'), ('keyframe="1"', 'keyframe="0"'), (">3<", ">9<"), ("<track ", "<track x<"))


def test_what_is_read_back_with_other_data_is_not_written(
    store: ProjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, changes = cvat_video.read_shapes, [change for change in CHANGES for _ in range(2)]

    def damaged(file: Path, **given: Any) -> Any:
        file.write_text(file.read_text("utf-8").replace(*changes.pop()), "utf-8")
        return read(file, **given)

    monkeypatch.setattr(cvat_video, "read_shapes", damaged)
    while changes:
        with pytest.raises(ExportError, match="was not written"):
            export_cvat_video(store, tmp_path / "out", shapes=("polygon", "mask")[len(changes) % 2])
    assert not (tmp_path / "out").exists()


def test_each_series_is_a_file_and_the_command_writes_them(store: ProjectStore, tmp_path: Path) -> None:
    store.apply(Edit("class", (RowChange(None, Category(store.new_id("category"), "unused", "#102030")),)))
    path = store.path
    store.close()
    words = ["export", str(path), "--format", "cvat-video", "--shapes", "mask", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a_clip.tif.xml"]
    labels = ElementTree.parse(tmp_path / "out/a_clip.tif.xml").getroot().iter("label")
    assert [label.findtext("name") for label in labels][1] == "unused"
