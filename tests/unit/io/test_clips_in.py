"""Videos in: what was exported comes back to the pixel with tracks and classes, and what is damaged is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotator.cli import main
from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.project import Category, Edit, RowChange
from annotator.io.formats.clips_in.coco_video import import_coco_video
from annotator.io.formats.clips_in.davis import import_davis
from annotator.io.formats.clips_in.youtube_vis import import_youtube_vis
from annotator.io.formats.coco_video import export_coco_video
from annotator.io.formats.davis import export_davis
from annotator.io.formats.registry import import_format_of
from annotator.io.formats.youtube_vis import export_youtube_vis
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept
from tests.unit.io.test_clip_formats import FRAMES, HEIGHT, WIDTH, folder_of, square

Truth = dict[tuple[int, str, int], bytes]
ROWS = (
    ("coco-video", export_coco_video, import_coco_video, "out.json"),
    ("youtube-vis", export_youtube_vis, import_youtube_vis, "out.json"),
    ("davis", export_davis, import_davis, "out"),
)
IMPORTS: dict[str, Callable[..., Any]] = {name: take_in for name, _, take_in, _ in ROWS}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A folder with an export of each format, and what they hold: track 9 with a gap, track 4 of another class."""
    root = tmp_path_factory.mktemp("made")
    with ProjectStore.open_folder(folder_of(root / "images")) as store:
        cat = Category(store.new_id("category"), "cat", "#102030")
        store.apply(Edit("class", (RowChange(None, cat),)))
        images = {image.frame: image.id for image in store.images() if image.series_id}
        for frame in (0, 1, 3):
            accept(store, images[frame], square(3 + 4 * frame, 3), track_id=9)
        for frame in (1, 2):
            accept(store, images[frame], square(30, 5 + 4 * frame), track_id=4, category_id=cat.id)
        for name, export, _, out in ROWS:
            (root / name).mkdir()
            export(store, root / name / out)
        return root, truth(store)


def truth(store: ProjectStore) -> Truth:
    """By track, class and frame."""
    frames = {image.id: image.frame for image in store.images()}
    names = {category.id: category.name for category in store.categories()}
    rows = store.all_annotations()
    return {(one.track_id, names[one.category_id], frames[one.image_id]): one.rle for one in rows}


@pytest.fixture
def fresh(tmp_path: Path) -> Any:
    with ProjectStore.open_folder(folder_of(tmp_path / "fresh")) as store:
        yield store


@pytest.mark.parametrize(("name", "out"), [(name, out) for name, _, _, out in ROWS])
def test_an_export_comes_back(made: tuple[Path, Truth], fresh: ProjectStore, name: str, out: str) -> None:
    root, wanted = made
    spec = import_format_of(root / name / out)
    assert spec.id == name
    report = IMPORTS[name](fresh, root / name / out)
    assert (report.objects, report.skipped, report.problems) == (5, 0, ())
    assert truth(fresh) == wanted
    again = IMPORTS[name](fresh, root / name / out)
    assert (again.objects, again.already_there) == (0, 5)
    fresh.undo()
    assert truth(fresh) == {}


def test_frames_of_other_names_are_found_by_their_numbers(made: tuple[Path, Truth], fresh: ProjectStore) -> None:
    """What ``annotator track`` wrote beside another copy of the video, and YouTube's names of JPEG files."""
    root, wanted = made
    data = json.loads((root / "coco-video/out.json").read_text())
    data["videos"][0]["name"] = "elsewhere/a clip.tif"
    for row in data["images"]:
        row["file_name"] = f"img/{row['frame_id']:06d}.jpg"
    for row in data["annotations"]:
        del row["attributes"], row["track_id"]
    (root / "renamed.json").write_text(json.dumps(data))
    assert import_coco_video(fresh, root / "renamed.json").objects == 5
    assert truth(fresh) == wanted
    fresh.undo()
    data = json.loads((root / "youtube-vis/out.json").read_text())
    del data["videos"][0]["name"]
    data["videos"][0]["file_names"] = [f"0a1b/{at:05d}.jpg" for at in range(FRAMES)]
    (root / "renamed.json").write_text(json.dumps(data))
    report = import_youtube_vis(fresh, root / "renamed.json")
    assert truth(fresh) == wanted
    assert any("the only series of 5 frames" in line for line in report.lines())


def test_tracks_that_are_here_already_keep_their_numbers(made: tuple[Path, Truth], fresh: ProjectStore) -> None:
    still = next(image for image in fresh.images() if not image.series_id)
    accept(fresh, still.id, square(1, 1), track_id=9)
    for name, _, take_in, out in ROWS:
        take_in(fresh, made[0] / name / out)
        tracks = {track for track, _, frame in truth(fresh) if frame > 0}
        assert len(tracks) == 2
        assert 9 not in tracks
        assert 4 in tracks
        fresh.undo()


def test_pictures_without_a_table_have_no_classes_and_255_is_nothing(fresh: ProjectStore, tmp_path: Path) -> None:
    """Counted from 1, as some sets do; one is of another size, one is a colour picture, one is cut off."""
    folder = tmp_path / "a clip"
    folder.mkdir()
    for at in range(FRAMES):
        values = np.zeros((HEIGHT, WIDTH), np.uint8)
        values[5:9, 5 + at : 9 + at], values[20:24, 5:9], values[30:, 30:] = 1, 2, 255
        Image.fromarray(values[: HEIGHT - (at == 2)]).save(folder / f"{at + 1:05d}.png")
    Image.new("RGB", (WIDTH, HEIGHT), (1, 2, 3)).save(folder / "00004.png")
    (folder / "00005.png").write_bytes((folder / "00005.png").read_bytes()[:60])
    report = import_davis(fresh, folder / "00001.png")
    assert (report.objects, report.skipped) == (4, 2)
    found = truth(fresh)
    assert len({track for track, _, _ in found}) == 2
    assert sorted(frame for _, _, frame in found) == [0, 0, 1, 1]
    text = "\n".join(report.lines())
    for part in ("colour picture", "the file says 60 x 39", "2 pictures", "the value 255 means nothing"):
        assert part in text


def test_folders_of_pictures_are_matched_by_name(tmp_path: Path) -> None:
    """A project of DAVIS' own folders of JPEG files, which is no series unless somebody says so."""
    images = tmp_path / "davis/JPEGImages/480p/bear"
    marks = tmp_path / "davis/Annotations/480p/bear"
    for folder in (images, marks):
        folder.mkdir(parents=True)
    for at in (0, 5):
        Image.new("RGB", (WIDTH, HEIGHT)).save(images / f"{at:05d}.jpg")
        Image.fromarray(square(5 + at, 5).full().astype(np.uint8) * 3).save(marks / f"{at:05d}.png")
    with ProjectStore.open_folder(tmp_path / "davis/JPEGImages") as store:
        assert import_davis(store, tmp_path / "davis").objects == 2
        places = {image.id: image.path for image in store.images()}
        found = {places[one.image_id]: one.rle for one in store.all_annotations()}
        assert found == {f"480p/bear/{at:05d}.jpg": square(5 + at, 5).rle() for at in (0, 5)}
        with pytest.raises(ImportFormatError, match="no PNG"):
            import_davis(store, images)


def _damage(kind: str, data: dict[str, Any], name: str) -> str:
    """Damage the second row's masks or places; what is said of it."""
    row = data["annotations"][1]
    counts = {"size": [HEIGHT, WIDTH], "counts": "ZZZZ"}
    masks = {
        "absurd": ({**counts, "counts": [10**12, 10**15]}, "run lengths"),
        "text": ({**counts, "counts": "\x00\xff" * 50}, "run lengths"),
        "size": ({**counts, "size": [10**9, 10**9]}, "another size"),
        "kind": (17, "segmentation of type int"),
    }
    if kind in masks:
        mask, said = masks[kind]
        if name == "youtube-vis":
            row["segmentations"][1] = mask
        else:
            row["segmentation"] = mask
        return said
    if kind == "frame" and name == "youtube-vis":
        row["segmentations"].append(row["segmentations"][1])
        return "a frame that its video has not"
    if kind == "frame":
        data["images"][1].update(frame_id=10**9, file_name="nowhere.png")
        return "'nowhere.png' is not in the project"
    if kind == "video":
        row["video_id" if name == "youtube-vis" else "image_id"] = 77
        return "77 is not in the file's"
    row["category_id"] = None
    return "is not a usable class"


@pytest.mark.parametrize("name", ["coco-video", "youtube-vis"])
def test_what_is_damaged_is_counted(made: tuple[Path, Truth], fresh: ProjectStore, tmp_path: Path, name: str) -> None:
    whole = (made[0] / name / "out.json").read_text()
    file = tmp_path / "damaged.json"
    for kind in ("absurd", "text", "size", "kind", "frame", "video", "class"):
        data = json.loads(whole)
        said = _damage(kind, data, name)
        file.write_text(json.dumps(data))
        report = IMPORTS[name](fresh, file)
        assert report.skipped >= 1, kind
        assert report.objects >= 2, kind
        assert said in "\n".join(report.lines()), kind
        fresh.undo()
    for odd in ({"videos": [3, {}, {"id": 1, "file_names": [None, {}]}], "images": [4], "annotations": [[], {}]},):
        file.write_text(json.dumps({**json.loads(whole), **odd}))
        assert IMPORTS[name](fresh, file).objects == 0
    for text in (whole[: len(whole) // 2], "[]", "{}", "", "[" * 100_000):
        file.write_text(text)
        with pytest.raises(ImportFormatError):
            IMPORTS[name](fresh, file)
    assert truth(fresh) == {}


def test_by_command(made: tuple[Path, Truth], fresh: ProjectStore, capsys: pytest.CaptureFixture[str]) -> None:
    path = fresh.path
    fresh.close()
    for name, _, _, out in ROWS:
        assert main(["import", str(path), str(made[0] / name / out)]) == 0
    assert "there already: 5 objects" in capsys.readouterr().out
    (path.parent / "still.png").unlink()
    assert main(["import", str(path), str(path.parent)]) == 2
    assert "There are no PNG files in" in capsys.readouterr().err
    with ProjectStore.open(path) as store:
        assert truth(store) == made[1]


def test_a_mask_of_the_whole_frame(fresh: ProjectStore, tmp_path: Path) -> None:
    """A picture of one value alone."""
    (tmp_path / "a_clip.tif").mkdir()
    Image.new("L", (WIDTH, HEIGHT), 1).save(tmp_path / "a_clip.tif/00002.png")
    assert import_davis(fresh, tmp_path / "a_clip.tif").objects == 1
    ((_, _, frame),) = truth(fresh)
    assert (frame, truth(fresh).popitem()[1]) == (2, Mask.from_full(np.ones((HEIGHT, WIDTH), bool)).rle())
