"""The parts of a batch: which images, which prompts, the journal, the queue, the pipeline."""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.commands.auto import _files
from annotator.commands.batch import journal as journal_module
from annotator.commands.batch.handover import Handover
from annotator.commands.batch.journal import Journal, open_journal, read_journal
from annotator.commands.batch.pipeline import Answer, Found, run_pipeline
from annotator.commands.batch.prompts import read_boxes, read_points
from annotator.commands.batch.work_list import Shard, WorkItem, list_work, parse_shard
from annotator.domain.errors import ExportError, ImageError, ImportFormatError, PromptError
from annotator.domain.frame_pick import FramePick
from annotator.domain.mask import Mask
from annotator.io.images.reader import LoadedImage
from tests.unit.io.uneven_video import write_uneven_video

ABOUT = {"info": {"model": "a"}, "categories": []}


# --- the list ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), unique=True), st.integers(1, 7))
def test_shards_are_a_partition_that_does_not_depend_on_the_other_images(names: list[str], of: int) -> None:
    shards = [Shard(number, of) for number in range(1, of + 1)]
    for name in names:
        assert sum(shard.has(name) for shard in shards) == 1


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="i/n"):
        parse_shard(text)


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names_of(items: Sequence[WorkItem]) -> list[str]:
    return [item.name for item in items]


@pytest.mark.parametrize(
    "row", ['{"key": "b", "stamp": 5}', '{"key": "b", "stamp": {"a": 1}}', "[" * 100_000, "1" * 5000]
)
def test_a_line_of_a_journal_that_makes_no_sense_is_asked_for_again(tmp_path: Path, row: str) -> None:
    path = tmp_path / "journal"
    with open_journal(path, ABOUT) as journal:
        journal.add({"key": "a", "stamp": [1, 2]})
    with path.open("a") as stream:
        stream.write(row + "\n")
    with open_journal(path, ABOUT) as journal:
        assert journal.stamp("a") == (1, 2)
        assert "b" not in journal or journal.stamp("b") == ()


def test_folders_patterns_and_lists_name_each_image_once(tmp_path: Path) -> None:
    touched(tmp_path, "p/a.png", "p/more/b.png", "p/c.jpg", "p/notes.md")
    (tmp_path / "list.txt").write_text("p/c.jpg\n\np/gone.png\n")
    assert names_of(list_work([str(tmp_path / "p")])) == ["a.png", "c.jpg", "more/b.png"]
    assert names_of(list_work([str(tmp_path / "p/**/*.png")])) == ["a.png", "more/b.png"]
    both = list_work([str(tmp_path / "list.txt"), str(tmp_path / "p")])
    assert names_of(both) == ["c.jpg", "gone.png", "a.png", "more/b.png"]
    assert [item.image_id for item in both] == [1, 2, 3, 4]
    with pytest.raises(ImageError, match="fits"):
        list_work([str(tmp_path / "*.tif")])


def test_names_stay_when_images_come(tmp_path: Path) -> None:
    touched(tmp_path, "p/more/b.png")
    sources = [str(tmp_path / "p"), str(tmp_path / "p/**/b*.png")]
    assert [names_of(list_work([source])) for source in sources] == [["more/b.png"]] * 2
    touched(tmp_path, "p/a.png", "p/b2.png")
    assert "more/b.png" in names_of(list_work([sources[0]]))
    assert "more/b.png" in names_of(list_work([sources[1]]))


@pytest.mark.parametrize("ids", [[1, 1], [1, None], [1, "2"], [1, -1]])
def test_coco_images_without_ids_of_their_own_are_refused(tmp_path: Path, ids: list[Any]) -> None:
    rows = [{"id": number, "file_name": f"{at}.png"} for at, number in enumerate(ids)]
    (tmp_path / "set.json").write_text(json.dumps({"images": rows, "annotations": [], "categories": []}))
    with pytest.raises(ImportFormatError, match="id of its own"):
        list_work([str(tmp_path / "set.json")])


def test_a_coco_file_keeps_its_ids_and_leads_nowhere_else(tmp_path: Path) -> None:
    rows = [{"id": 0, "file_name": "a.png"}, {"id": 3, "file_name": "../b.png"}, {"id": 5, "file_name": "/c.png"}]
    (tmp_path / "set.json").write_text(json.dumps({"images": rows, "annotations": [], "categories": []}))
    items = list_work([str(tmp_path / "set.json")], images=tmp_path / "photos")
    assert [item.image_id for item in items] == [0, 3, 5]
    assert items[0].path == tmp_path / "photos/a.png"
    assert [bool(item.problem) for item in items] == [False, True, True]


# --- prompts ----------------------------------------------------------------------------------------------------------


def items(*names: str) -> list[WorkItem]:
    return [WorkItem(name, Path(name), image_id=at) for at, name in enumerate(names, start=1)]


def test_boxes_of_a_table_with_classes(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("image,x1,y1,x2,y2,score,class\na.png,1,2,5,6,0.5,cat\nz/b.png,0,0,3,3,,dog\n")
    file = read_boxes(tmp_path / "b.csv")
    found, strangers = file.matched(items("a.png", "y/b.png", "c.png"))
    assert strangers == 0
    assert found["a.png"][0].score == 0.5
    assert found["a.png"][0].box is not None
    assert found["a.png"][0].box.as_xyxy() == (1, 2, 5, 6)
    assert file.categories[found["y/b.png"][0].category_id] == "dog"
    with pytest.raises(PromptError, match=r"a\.png"):
        file.matched(items("q.png"))


def test_a_short_name_that_two_images_have_matches_none(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("image,x1,y1,x2,y2\na.png,1,2,5,6\nc.png,1,2,5,6\n")
    found, strangers = read_boxes(tmp_path / "b.csv").matched(items("x/a.png", "y/a.png", "c.png"))
    assert list(found) == ["c.png"]
    assert strangers == 1


def test_points_of_one_object_belong_together(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("image,x,y,label,object\na.png,1,2,1,k\na.png,3,4,0,k\na.png,5,6,1,\n")
    questions = read_points(tmp_path / "p.csv").by_name["a.png"]
    assert [len(question.points) for question in questions] == [2, 1]
    assert [point.is_positive for point in questions[0].points] == [True, False]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("n" * 140_000 + ",x\n", "field limit"),
        ("image,x\n", "'y'"),
        ("image,x,y\na,1,b\n", "line 2"),
        ("image,x,y,label\na,1,2,7\n", "label"),
        ("", "'image'"),
    ],
)
def test_a_table_that_is_wrong_says_where(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ImportFormatError, match=says):
        read_points(tmp_path / "p.csv")


def test_coco_boxes_by_name_and_results_by_id(tmp_path: Path) -> None:
    rows = [{"image_id": 4, "category_id": 9, "bbox": [1, 2, 3, 4], "score": 0.25}, {"image_id": 4}]
    data = {"images": [{"id": 4, "file_name": "d/a.png"}], "categories": [{"id": 9, "name": "cell"}]}
    (tmp_path / "set.json").write_text(json.dumps({**data, "annotations": rows}))
    (tmp_path / "found.json").write_text(json.dumps(rows))
    file = read_boxes(tmp_path / "set.json")
    assert file.categories == {9: "cell"}
    assert file.skipped == 1
    results = read_boxes(tmp_path / "found.json", has_coco_ids=True)
    found, _ = results.matched([WorkItem("n.png", Path("n.png"), image_id=4)])
    assert found["n.png"] == file.by_name["d/a.png"]
    with pytest.raises(ImportFormatError, match="by their id"):
        read_boxes(tmp_path / "found.json")


# --- the journal ------------------------------------------------------------------------------------------------------


def row(key: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "stamp": [1, 2], "seconds": 0.5, "size": [4, 3], "objects": [], "left_out": [], **more}


@given(cut=st.integers(0, 400))
def test_what_a_kill_leaves_is_whole_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    keys = ["a", "b ü", "c"]
    with open_journal(path, ABOUT) as journal:
        for key in keys:
            journal.add(row(key))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - min(cut, len(data))])
    with open_journal(path, ABOUT) as journal:
        kept = list(journal)
        assert kept == keys[: len(kept)]
        for key in keys[len(kept) :]:
            journal.add(row(key))
    assert path.read_bytes() == data


def test_the_last_line_of_an_image_counts_and_failures_are_known(tmp_path: Path) -> None:
    with open_journal(tmp_path / "j", ABOUT) as journal:
        journal.add({"key": "a", "stamp": [], "seconds": 0, "error": "no"})
        assert journal.has_failed("a")
        journal.add(row("a"))
        assert not journal.has_failed("a")
        assert journal.row("a") == row("a")
    with read_journal(tmp_path / "j") as journal:
        assert journal.row("a") == row("a")
        assert journal.stamp("a") == (1, 2)


def test_a_journal_of_something_else_or_in_use_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with open_journal(path, ABOUT) as journal:
        journal.add(row("a"))
        before = path.read_bytes()
        if journal_module.os.name == "posix":
            with pytest.raises(ExportError, match="Another batch"), open_journal(path, ABOUT):
                pass
    with pytest.raises(ExportError, match="other settings"), open_journal(path, {"info": {}}):
        pass
    assert path.read_bytes() == before


def test_a_full_disk_is_one_sentence_and_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(stream: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "j"
    with open_journal(path, ABOUT) as journal:
        journal.add(row("a"))
        before = path.read_bytes()
        monkeypatch.setattr(journal_module, "sync", full)
        with pytest.raises(ExportError, match="disk is full"):
            journal.add(row("b"))
        assert "b" not in journal
    assert path.read_bytes() == before


# --- the queue and the pipeline ---------------------------------------------------------------------------------------


def test_a_handover_waits_for_room_in_bytes() -> None:
    queue: Handover[str] = Handover(most=9, limit_bytes=10)
    assert queue.put("large", 25)  # alone it may be larger
    done = threading.Event()
    other = threading.Thread(target=lambda: (queue.put("next", 1), done.set()))
    other.start()
    assert not done.is_set()
    assert queue.take() == "large"
    other.join()
    assert queue.take() == "next"
    queue.finish()
    assert queue.take() is None
    queue.close()
    assert not queue.put("late", 1)


def image(item: WorkItem) -> LoadedImage:
    if item.name == "bad":
        raise ImageError("bad is no image.")
    return LoadedImage(np.zeros((3, 4, 3), np.uint8), 4, 3, "", item.name)


def found(item: WorkItem, _image: LoadedImage) -> Answer:
    if item.name == "bug":
        raise ZeroDivisionError("here")
    return Answer((Found(Mask.from_full(np.eye(3, 4, dtype=bool)), 0.5),))


def run(journal: Journal, work: list[WorkItem], **more: Any) -> None:
    wanted: dict[str, Any] = {"load": image, "ask": found, "on_asked": lambda *_: None, "readers": 2, **more}
    run_pipeline(work, journal, **wanted)


def test_bad_images_and_bugs_are_rows_and_not_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_journal(tmp_path / "j", ABOUT) as journal:
        run(journal, items("a", "bad", "bug", "b"))
        assert set(journal) == {"a", "b", "bad", "bug"}
        assert journal.row("bad")["error"] == "bad is no image."
        assert "ZeroDivisionError" in journal.row("bug")["error"]
        assert len(journal.row("b")["objects"]) == 1
    assert "ZeroDivisionError" in caplog.text


class TwoParts:
    """Whose first answer waits until the second image was begun, if it may."""

    def __init__(self, *, may_overlap: bool) -> None:
        self.may_overlap, self._second = may_overlap, threading.Event()
        self.order: list[str] = []

    def begin(self, item: WorkItem, image: LoadedImage) -> Callable[[], Answer]:
        self.order.append(f"begin {item.name}")
        if item.name == "no room":
            raise ImageError("There is no room.")
        if item.name == "b":
            self._second.set()

        def answer() -> Answer:
            if item.name == "a" and self.may_overlap:
                assert self._second.wait(60)
            self.order.append(f"answer {item.name}")
            return found(item, image)

        return answer


@pytest.mark.parametrize("may_overlap", [True, False])
def test_the_next_image_is_begun_while_one_is_answered_where_the_model_can(tmp_path: Path, may_overlap: bool) -> None:
    ask = TwoParts(may_overlap=may_overlap)
    with open_journal(tmp_path / "j", ABOUT) as journal:
        run(journal, items("a", "b", "no room", "bad", "bug", "c"), ask=ask, readers=1)
        assert list(journal) == ["a", "b", "no room", "bad", "bug", "c"]
        assert {name for name in journal if journal.has_failed(name)} == {"no room", "bad", "bug"}
    assert (ask.order.index("begin b") < ask.order.index("answer a")) is may_overlap
    if not may_overlap:
        assert ask.order[:4] == ["begin a", "answer a", "begin b", "answer b"]


def test_an_interrupt_while_the_next_one_is_begun_ends_all_threads(tmp_path: Path) -> None:
    def stop(_item: WorkItem, _count: int) -> None:
        raise KeyboardInterrupt

    with open_journal(tmp_path / "j", ABOUT) as journal, pytest.raises(KeyboardInterrupt):
        run(journal, items(*"abcdefghij"), ask=TwoParts(may_overlap=True), on_asked=stop, readers=1)
    assert not [thread.name for thread in threading.enumerate() if thread.name in ("encode", "write", "read 0")]


def test_an_interrupt_keeps_what_was_asked(tmp_path: Path) -> None:
    def stop(_item: WorkItem, count: int) -> None:
        if count == 2:
            raise KeyboardInterrupt

    ended: list[int] = []
    with open_journal(tmp_path / "j", ABOUT) as journal:
        with pytest.raises(KeyboardInterrupt):
            run(journal, items(*"abcdefghij"), on_asked=stop, interrupt=lambda: ended.append(1))
        assert len(list(journal)) == 2
    assert ended == [1]


def test_a_journal_that_cannot_be_written_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Journal, _row: object) -> None:
        raise ExportError("The disk is full.")

    monkeypatch.setattr(Journal, "add", full)
    with open_journal(tmp_path / "j", ABOUT) as journal, pytest.raises(ExportError, match="full"):
        run(journal, items(*"abcdefghijklmnop"))


def test_a_video_is_its_frames_or_those_that_are_picked(tmp_path: Path) -> None:
    write_uneven_video(tmp_path / "clip.mkv", [0, 100, 150, 900, 1000, 1100])
    (tmp_path / "a.png").write_bytes(b"")
    every = list_work([str(tmp_path)])
    assert [item.key for item in every] == ["a.png", "clip.mkv", *(f"clip.mkv#{at}" for at in range(1, 6))]
    some = list_work([str(tmp_path / "clip.mkv")], pick=FramePick(2, 100, 1000))
    assert [(item.key, item.frame) for item in some] == [("clip.mkv#1", 1), ("clip.mkv#3", 3)]
    late = list_work([str(tmp_path)], pick=FramePick(1, 9000))
    assert [bool(item.problem) for item in late] == [False, True]
    assert [one.frame for one in _files([tmp_path], FramePick(2, 100, 1000))] == [0, 1, 3]
    rows = [{"id": 7, "file_name": "clip.mkv#3", "width": 128, "height": 96}]
    (tmp_path / "set.json").write_text(json.dumps({"images": rows, "annotations": [], "categories": []}))
    (item,) = list_work([str(tmp_path / "set.json")])
    assert (item.path, item.frame, item.image_id) == (tmp_path / "clip.mkv", 3, 7)
