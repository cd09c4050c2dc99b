"""The evaluation harness: protocol, aggregates, subsets, resuming, and hostile sets."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from annotator.commands import evaluate as command
from annotator.domain.errors import ExportError, ImportFormatError, ModelError, UserError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, ModelInfo
from annotator.domain.prompt import Prompts
from annotator.engine.grabcut import GrabCutSegmenter
from annotator.evaluate.degrade import DEGRADATIONS
from annotator.evaluate.objects import read_evaluation_set
from annotator.evaluate.progress import append, appending, read_state
from annotator.evaluate.run import Conditions, EvaluationResult, evaluate_coco
from tests.little_room import little_room, needs_limits

BoolArray = npt.NDArray[np.bool_]
Answer = Callable[[Prompts], list[BoolArray]]

WIDTH, HEIGHT = 80, 60


def rectangle(x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    out = np.zeros((HEIGHT, WIDTH), np.bool_)
    out[y0:y1, x0:x1] = True
    return out


@dataclass(frozen=True)
class FakeEmbedding:
    key: str
    width: int
    height: int
    nbytes: int = 0
    encode_ms: float = 7.0


@dataclass
class ScriptedSegmenter:
    """Answers what a function of the prompts says; remembers what it was asked. ``best`` is the last candidate."""

    answer: Answer
    sha256: str = "0" * 64
    encoded: list[str] = field(default_factory=list)
    asked: list[tuple[Prompts, Candidate | None]] = field(default_factory=list)

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("scripted", self.sha256, "cpu", "float32", 256)

    def embedding_key(self, image_key: str) -> str:
        return image_key

    def encode(self, image: Any, image_key: str, *, is_cancelled: Callable[[], bool] | None = None) -> FakeEmbedding:
        self.encoded.append(image_key)
        return FakeEmbedding(image_key, image.shape[1], image.shape[0])

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        self.asked.append((prompts, continue_from))
        number = float(len(self.asked))
        items = tuple(
            Candidate(np.full((4, 4), number, np.float32), 0.9, 1.0, Mask.from_full(mask))
            for mask in self.answer(prompts)
        )
        return Candidates(items, len(items) - 1, 1.0, 3.0)


def write_set(folder: Path, masks_by_image: list[list[BoolArray]]) -> tuple[Path, Path]:
    """A COCO set of noisy images with bright objects; ids from 1, run lengths as COCO compresses them."""
    images_dir = folder / "images"
    images_dir.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for number, masks in enumerate(masks_by_image, start=1):
        pixels = np.random.default_rng(number).integers(20, 70, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for mask in masks:
            pixels[mask] += 150
        cv2.imwrite(str(images_dir / f"{number}.png"), pixels)
        images.append({"id": number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        for mask in masks:
            rle = {"size": [HEIGHT, WIDTH], "counts": Mask.from_full(mask).rle().decode()}
            annotations.append({"id": len(annotations) + 1, "image_id": number, "segmentation": rle, "iscrowd": 0})
    coco = folder / "annotations.json"
    coco.write_text(json.dumps({"images": images, "annotations": annotations}))
    return coco, images_dir


def test_a_perfect_engine(tmp_path: Path) -> None:
    target = rectangle(10, 10, 50, 40)
    segmenter = ScriptedSegmenter(lambda _: [target])
    result = evaluate_coco(segmenter, *write_set(tmp_path, [[target]]), clicks=5)
    assert result.miou == result.mbiou == {str(k): 1.0 for k in range(1, 6)}
    assert (result.box_miou, result.box_mbiou) == (1.0, 1.0)
    assert result.noc == {"80": 1.0, "85": 1.0, "90": 1.0}
    assert (result.objects, result.encode_ms, result.decode_ms) == (1, 7.0, 3.0)
    # One click (nothing is left to correct after it), then the box.
    assert [len(prompts.points) for prompts, _ in segmenter.asked] == [1, 0]
    box = segmenter.asked[1][0].box
    assert box is not None
    assert box.as_xyxy() == (10, 10, 50, 40)
    (click,) = result.per_object[0].points
    assert click[2] == 1
    assert target[int(click[1]), int(click[0])]


def test_click_protocol_and_what_is_continued(tmp_path: Path) -> None:
    target = rectangle(10, 10, 50, 40)
    half = rectangle(10, 10, 30, 40)
    too_much = rectangle(10, 10, 70, 40)
    script = {1: [rectangle(0, 0, 5, 5), target, half], 2: [too_much], 3: [rectangle(10, 10, 50, 39)]}

    def answer(prompts: Prompts) -> list[BoolArray]:
        return script[len(prompts.points)] if prompts.points else [half]

    segmenter = ScriptedSegmenter(answer)
    result = evaluate_coco(segmenter, *write_set(tmp_path, [[target]]), clicks=3).per_object[0]
    # The shown candidate counts, not the best of the three.
    assert result.iou == pytest.approx([600 / 1200, 1200 / 1800, 1160 / 1200])
    assert result.box_iou == pytest.approx(0.5)
    assert [bool(sign) for _, _, sign in result.points] == [True, True, False]
    second, third = result.points[1], result.points[2]
    assert 30 < second[0] < 50
    assert 50 < third[0] < 70
    fed_back = [None if previous is None else float(previous.logits[0, 0]) for _, previous in segmenter.asked]
    assert fed_back == [None, 1.0, 2.0, None]


def test_failures_count_at_the_cap_and_means_are_over_objects(tmp_path: Path) -> None:
    good, bad = rectangle(5, 5, 25, 25), rectangle(40, 20, 70, 50)
    segmenter = ScriptedSegmenter(lambda _: [good])
    result = evaluate_coco(segmenter, *write_set(tmp_path, [[good], [bad]]), clicks=4)
    assert result.miou == {str(k): 0.5 for k in range(1, 5)}
    assert result.noc == {"80": 2.5, "85": 2.5, "90": 2.5}
    assert result.box_miou == 0.5


def test_an_image_is_encoded_once(tmp_path: Path) -> None:
    masks = [rectangle(5, 5, 25, 25), rectangle(40, 20, 70, 50)]
    segmenter = ScriptedSegmenter(lambda _: [masks[0]])
    result = evaluate_coco(segmenter, *write_set(tmp_path, [masks, masks]), clicks=2)
    assert result.objects == 4
    assert len(segmenter.encoded) == 2


def test_json_has_exactly_the_promised_keys(tmp_path: Path) -> None:
    target = rectangle(10, 10, 50, 40)
    data = evaluate_coco(ScriptedSegmenter(lambda _: [target]), *write_set(tmp_path, [[target]]), clicks=2).to_json()
    assert list(data) == [
        "model",
        "objects",
        "miou",
        "mbiou",
        "box_miou",
        "box_mbiou",
        "noc",
        "encode_ms",
        "decode_ms",
        "per_object",
        "remarks",
    ]
    assert json.loads(json.dumps(data)) == data


def many_objects(tmp_path: Path) -> tuple[Path, Path]:
    grid = [rectangle(x, y, x + 12, y + 12) for x in (2, 22, 42, 62) for y in (4, 30)]
    return write_set(tmp_path, [grid, grid[:2], grid[:5]])


def test_subsets_spread_over_images_and_nest(tmp_path: Path) -> None:
    coco, images = many_objects(tmp_path)
    whole = read_evaluation_set(coco, images)
    for count in (1, 3, 6, 9):
        chosen = whole.subset(count, seed=0)
        per_image = [sum(item.image.id == i for item in chosen) for i in (1, 2, 3)]
        assert len(chosen) == count
        assert count < 3 or max(per_image[0], per_image[2]) - min(per_image) <= 1 or per_image[1] == 2
        assert {item.id for item in chosen} <= {item.id for item in whole.subset(count + 1, seed=0)}
    assert len(whole.subset(None, seed=0)) == len(whole.subset(99, seed=0)) == 15
    shuffled = json.loads(coco.read_text())
    shuffled["annotations"].reverse()
    shuffled["images"].reverse()
    coco.write_text(json.dumps(shuffled))
    again = read_evaluation_set(coco, images)
    assert [item.id for item in again.subset(6, seed=0)] == [item.id for item in whole.subset(6, seed=0)]
    assert [item.id for item in again.subset(6, seed=1)] != [item.id for item in whole.subset(6, seed=0)]


class KilledError(Exception):
    pass


@dataclass
class DyingSegmenter:
    """GrabCut until it has answered ``lives`` prompts."""

    inner: GrabCutSegmenter
    lives: int

    @property
    def info(self) -> ModelInfo:
        return self.inner.info

    def embedding_key(self, image_key: str) -> str:
        return self.inner.embedding_key(image_key)

    def encode(self, image: Any, image_key: str, *, is_cancelled: Callable[[], bool] | None = None) -> Embedding:
        return self.inner.encode(image, image_key, is_cancelled=is_cancelled)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        self.lives -= 1
        if self.lives < 0:
            raise KilledError
        return self.inner.decode(embedding, prompts, continue_from=continue_from)


def without_times(result: EvaluationResult) -> dict[str, Any]:
    data = result.to_json()
    for entry in [data, *data["per_object"]]:
        del entry["encode_ms"], entry["decode_ms"]
    return data


def test_an_interrupted_run_goes_on_to_the_same_json(tmp_path: Path) -> None:
    coco, images = many_objects(tmp_path)
    state = tmp_path / "state.jsonl"
    straight = evaluate_coco(GrabCutSegmenter(), coco, images, clicks=3)
    assert straight.box_miou > 0.9
    with pytest.raises(KilledError):
        evaluate_coco(DyingSegmenter(GrabCutSegmenter(), 20), coco, images, clicks=3, state_path=state)
    finished = len(state.read_text().splitlines())
    assert 0 < finished < 15
    # A kill can leave half a line too.
    with state.open("a") as stream:
        stream.write('{"run": "abc", "resu')
    seen: list[tuple[int, int]] = []
    resumed_engine = DyingSegmenter(GrabCutSegmenter(), 10_000)
    resumed = evaluate_coco(
        resumed_engine, coco, images, clicks=3, state_path=state, progress=lambda n, of, _: seen.append((n, of))
    )
    assert without_times(resumed) == without_times(straight)
    assert seen == [(n, 15) for n in range(1, 16)]
    # The third time there is nothing left to do: the same bytes, times included, and of the images only heads are read.
    for image in images.iterdir():
        image.write_bytes(image.read_bytes()[:64])
    idle = DyingSegmenter(GrabCutSegmenter(), 0)
    assert evaluate_coco(idle, coco, images, clicks=3, state_path=state).to_json() == resumed.to_json()


def test_a_state_belongs_to_engine_set_and_protocol(tmp_path: Path) -> None:
    target = rectangle(10, 10, 50, 40)
    coco, images = write_set(tmp_path, [[target]])
    state = tmp_path / "state.jsonl"
    evaluate_coco(ScriptedSegmenter(lambda _: [target]), coco, images, clicks=2, state_path=state)
    same = ScriptedSegmenter(lambda _: [target])
    evaluate_coco(same, coco, images, clicks=2, state_path=state)
    other_clicks = ScriptedSegmenter(lambda _: [target])
    evaluate_coco(other_clicks, coco, images, clicks=3, state_path=state)
    other_weights = ScriptedSegmenter(lambda _: [target], sha256="1" * 64)
    evaluate_coco(other_weights, coco, images, clicks=2, state_path=state)
    coco.write_text(coco.read_text() + "\n")
    other_set = ScriptedSegmenter(lambda _: [target])
    evaluate_coco(other_set, coco, images, clicks=2, state_path=state)
    assert [bool(s.asked) for s in (same, other_clicks, other_weights, other_set)] == [False, True, True, True]


def test_a_foreign_file_is_not_taken_for_a_state(tmp_path: Path) -> None:
    target = rectangle(10, 10, 50, 40)
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\nmore of them\n")
    segmenter = ScriptedSegmenter(lambda _: [target])
    with pytest.raises(ExportError, match="not the state"):
        evaluate_coco(segmenter, *write_set(tmp_path, [[target]]), clicks=2, state_path=notes)
    assert notes.read_text() == "my notes\nmore of them\n"


def test_polygons_and_uncompressed_runs_are_read_and_crowds_remarks(tmp_path: Path) -> None:
    target = rectangle(10, 10, 50, 40)
    coco, images = write_set(tmp_path, [[target, target, target]])
    data = json.loads(coco.read_text())
    ring = [10, 10, 50, 10, 50, 40, 10, 40]
    counts: list[int] = []
    flat, value = target.ravel(order="F"), False
    while flat.size:
        run = int(np.argmax(flat != value)) if (flat != value).any() else flat.size
        counts.append(run)
        flat, value = flat[run:], not value
    data["annotations"][0]["segmentation"] = [ring]
    data["annotations"][1]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
    data["annotations"][2]["iscrowd"] = 1
    coco.write_text(json.dumps(data))
    result = evaluate_coco(ScriptedSegmenter(lambda _: [target]), coco, images, clicks=1)
    assert result.objects == 2
    assert result.miou["1"] == 1.0


def test_names_may_repeat_the_images_folder(tmp_path: Path) -> None:
    target = rectangle(10, 10, 50, 40)
    coco, images = write_set(tmp_path, [[target]])
    data = json.loads(coco.read_text())
    data["images"][0]["file_name"] = "images/1.png"
    coco.write_text(json.dumps(data))
    for folder in (images, tmp_path):
        assert evaluate_coco(ScriptedSegmenter(lambda _: [target]), coco, folder, clicks=1).objects == 1


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    kind, key = path.split(".")

    def change(data: dict[str, Any]) -> None:
        data[kind][0][key] = value

    return change


@pytest.mark.parametrize(
    "damage",
    [
        _set("images.width", 10**9),
        _set("images.file_name", "../images/2.png"),
        _set("images.file_name", "missing.png"),
        _set("images.file_name", 3),
        _set("images.id", 99),
        _set("images.height", HEIGHT + 1),
        _set("annotations.image_id", [1]),
        _set("annotations.segmentation", {"size": [10**5, 10**5], "counts": "PPPP"}),
        _set("annotations.segmentation", {"size": [HEIGHT, WIDTH], "counts": [10**30]}),
        _set("annotations.segmentation", {"size": [HEIGHT, WIDTH], "counts": "\x00"}),
        _set("annotations.segmentation", {"size": [HEIGHT, WIDTH]}),
        _set("annotations.segmentation", [[1, 2, 3]]),
        _set("annotations.segmentation", [[0, 0, 5, 0, float("nan"), 5]]),
        _set("annotations.segmentation", [[0, 0, 1e12, 0, 5, 5]]),
        _set("annotations.segmentation", "text"),
        _set("annotations.segmentation", 5),
        lambda data: data.pop("images"),
        lambda data: data.update(annotations=[]),
        lambda data: data.update(annotations=[5]),
        lambda data: data["images"].append(dict(data["images"][0])),
    ],
)
def test_hostile_sets_give_one_clear_message(tmp_path: Path, damage: Callable[[dict[str, Any]], None]) -> None:
    target = rectangle(10, 10, 50, 40)
    coco, images = write_set(tmp_path, [[target]])
    data = json.loads(coco.read_text())
    damage(data)
    coco.write_text(json.dumps(data))
    with pytest.raises(ImportFormatError) as caught:
        evaluate_coco(ScriptedSegmenter(lambda _: [target]), coco, images, clicks=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "[" * 100_000, "\udcff"])
def test_files_that_are_not_coco(tmp_path: Path, text: str) -> None:
    coco = tmp_path / "bad.json"
    coco.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ImportFormatError, match=r"bad\.json"):
        read_evaluation_set(coco, tmp_path)
    with pytest.raises(ImportFormatError, match=r"no file .*none\.json"):
        read_evaluation_set(tmp_path / "none.json", tmp_path)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(words)


def test_command_on_one_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = rectangle(10, 10, 50, 40)
    coco, images = write_set(tmp_path / "one", [[target]])
    out = tmp_path / "out.json"
    words = ("--coco", str(coco), "--images", str(images), "--engine", "grabcut", "--clicks", "3", "--json", str(out))
    assert command.run(parse(*words)) == 0
    data = json.loads(out.read_text())
    assert data["model"] == "grabcut"
    assert list(data["miou"]) == ["1", "2", "3"]
    assert data["box_miou"] > 0.95
    captured = capsys.readouterr()
    head, row = captured.out.splitlines()
    assert row.split()[0] == "one"
    assert head.split()[:6] == ["set", "objects", "box", "1", "2", "3"]
    assert row.split()[2] == f"{data['box_miou']:.3f}"
    assert "1/1" in captured.err


def test_command_on_several_sets_prints_their_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--engine", "grabcut", "--clicks", "2", "--json", str(tmp_path / "out.json")]
    for name, target in (("coins", rectangle(10, 10, 50, 40)), ("cells", rectangle(3, 3, 30, 20))):
        coco, images = write_set(tmp_path / name, [[target]])
        words += ["--coco", str(coco), "--images", str(images)]
    assert command.run(parse(*words)) == 0
    data = json.loads((tmp_path / "out.json").read_text())
    assert list(data) == ["model", "sets", "mean"]
    assert list(data["sets"]) == ["coins", "cells"]
    for figure in ("box_miou", "box_mbiou", "decode_ms"):
        assert data["mean"][figure] == pytest.approx(sum(s[figure] for s in data["sets"].values()) / 2)
    assert data["mean"]["miou"]["2"] == pytest.approx(sum(s["miou"]["2"] for s in data["sets"].values()) / 2)
    assert data["mean"]["objects"] == 2
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["set", "coins", "cells", "mean"]


def test_set_names_tell_sets_apart() -> None:
    def names(*paths: str) -> list[str]:
        return command.set_names([Path(p) for p in paths])

    assert names("coco/val.json", "coco/train.json") == ["val", "train"]
    assert names("cells/annotations.json") == ["cells"]
    assert names("a/val.json", "b/val.json") == ["a", "b"]
    assert names("x/a/val.json", "y/a/val.json") == ["x/a/val.json", "y/a/val.json"]
    with pytest.raises(UserError, match="twice"):
        names("val.json", "val.json")


def test_command_refuses_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = rectangle(10, 10, 50, 40)
    coco, images = write_set(tmp_path, [[target]])
    fine = ["--coco", str(coco), "--images", str(images), "--engine", "grabcut", "--clicks", "1"]
    with pytest.raises(UserError, match="pair"):
        command.run(parse(*fine, "--coco", str(coco)))
    with pytest.raises(UserError, match="twice"):
        command.run(parse(*fine, "--coco", str(coco), "--images", str(images)))
    with pytest.raises(ModelError, match="no models"):
        command.run(parse(*fine, "--model", "nano"))
    with pytest.raises(ExportError, match="no folder"):
        command.run(parse(*fine, "--json", str(tmp_path / "none" / "out.json")))
    with pytest.raises(ExportError, match="folder"):
        command.run(parse(*fine, "--json", str(tmp_path)))
    with pytest.raises(ExportError, match="folder"):
        command.run(parse(*fine, "--resume", str(tmp_path)))
    for bad in ("0", "-1", "x"):
        with pytest.raises(SystemExit) as caught:
            parse(*fine, "--clicks", bad)
        assert caught.value.code == 2
    assert "whole number" in capsys.readouterr().err


def test_harder_conditions_change_images_boxes_and_clicks(tmp_path: Path) -> None:
    coco, images = write_set(tmp_path, [[rectangle(10, 10, 50, 40)]])
    asked: list[list[tuple[Prompts, Candidate | None]]] = []
    for conditions in (Conditions(), Conditions(jitter=0.1), Conditions(DEGRADATIONS["turned"])):
        engine = ScriptedSegmenter(lambda _prompts: [rectangle(0, 0, 20, 20)])
        if conditions.degradation:
            engine = ScriptedSegmenter(lambda _prompts: [np.rot90(rectangle(0, 0, 20, 20))])
        evaluate_coco(engine, coco, images, clicks=2, conditions=conditions)
        asked.append(engine.asked)
    plain, jittered, turned = ([prompts for prompts, _ in calls] for calls in asked)
    assert plain[-1].box is not None
    assert plain[-1].box.as_xyxy() == (10, 10, 50, 40)
    assert jittered[-1].box is not None
    assert jittered[-1].box.as_xyxy() != (10, 10, 50, 40)
    assert turned[-1].box is not None
    assert turned[-1].box.as_xyxy() == (10, 30, 40, 70)  # counter-clockwise: x becomes y, y comes from the right
    assert jittered[0].points != plain[0].points


def test_other_conditions_are_another_run(tmp_path: Path) -> None:
    coco, images = write_set(tmp_path, [[rectangle(10, 10, 50, 40)]])
    engine = ScriptedSegmenter(lambda _prompts: [rectangle(0, 0, 20, 20)])
    state = tmp_path / "run.state"
    for conditions in (Conditions(), Conditions(jitter=0.1), Conditions(jitter=0.1)):
        evaluate_coco(engine, coco, images, clicks=2, state_path=state, conditions=conditions)
    assert len(state.read_text(encoding="utf-8").splitlines()) == 2


def test_an_unknown_degradation_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fog"):
        command.conditions_of(argparse.Namespace(degrade="fog", jitter=0.0))


@needs_limits
def test_a_state_that_the_disk_does_not_take_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "state.jsonl"

    def fill() -> None:
        with appending(path) as state:
            assert state is not None
            append(state, "run", {"number": 1})
            append(state, "run", {"text": "x" * 4000})

    with little_room(2000), pytest.raises(ExportError, match="File too large") as caught:
        fill()
    assert "goes on" in caught.value.advice
    assert read_state(path, "run", dict) == [{"number": 1}]
