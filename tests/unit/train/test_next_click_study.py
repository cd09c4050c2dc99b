"""The study of proposed clicks: one first click for all, honest counting, resuming, figures and their command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from annotator import cli
from annotator.domain.adapter import AdapterInfo
from annotator.domain.answering.clicks import next_click
from annotator.domain.errors import ExportError, ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, LogitsArray, ModelInfo
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.adapter_files import config_of, save_adapter
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.sam2.nano import build_nano, save_nano
from annotator.evaluate.objects import EvaluationSet
from annotator.studies import next_click_study
from annotator.studies.click_policies import POLICIES, Move, View, centre
from annotator.studies.next_click_study import ObjectStudy, PolicyRun, study_object, study_set
from annotator.studies.next_click_table import figures
from annotator.train.data.sources import read_source
from tests.small_base import SMALL
from tests.unit.train.scenes import write_set

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FakeEmbedding:
    key: str
    width: int
    height: int
    nbytes: int = 0
    encode_ms: float = 7.0


@dataclass
class ScriptedSegmenter:
    """Answers with a function of the clicks; remembers what it was asked and what logits it gave."""

    answer: Callable[[tuple[PointPrompt, ...]], BoolArray]
    encoded: list[str] = field(default_factory=list)
    asked: list[tuple[Prompts, Candidate | None]] = field(default_factory=list)
    given: list[LogitsArray] = field(default_factory=list)
    stop_at: int | None = None

    @property
    def info(self) -> ModelInfo:
        return ModelInfo("scripted", "0" * 64, "cpu", "float32", 256)

    def embedding_key(self, image_key: str) -> str:
        return image_key

    def encode(self, image: Any, image_key: str, *, is_cancelled: Callable[[], bool] | None = None) -> FakeEmbedding:
        if len(self.encoded) == self.stop_at:
            raise KeyboardInterrupt
        self.encoded.append(image_key)
        return FakeEmbedding(image_key, image.shape[1], image.shape[0])

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        self.asked.append((prompts, continue_from))
        mask = self.answer(prompts.points)
        logits = np.where(mask, 1, -1).astype(np.float32)
        self.given.append(logits)
        item = Candidate(logits, 0.9, 1.0, Mask.from_full(mask))
        return Candidates((item,), 0, 1.0, 3.0)


@pytest.fixture
def cells(tmp_path: Path) -> EvaluationSet:
    source = read_source(write_set(tmp_path / "cells", images=3))
    return EvaluationSet(source.objects, source.digest)


def study_one(cells: EvaluationSet, answer: Callable[[BoolArray, int], BoolArray], **options: Any) -> Any:
    """The first object of the set; ``answer`` gets the truth and the number of clicks."""
    item = cells.objects[0]
    truth = item.mask().full()
    segmenter = ScriptedSegmenter(lambda points: answer(truth, len(points)))
    embedding = FakeEmbedding("a", truth.shape[1], truth.shape[0])
    return study_object(segmenter, embedding, item, truth, **options), segmenter, truth


def grown(truth: BoolArray, rows: int) -> BoolArray:
    """Some rows of the truth, from its top."""
    first = int(np.flatnonzero(truth.any(1))[0])
    out = truth.copy()
    out[first + rows :] = False
    return out


def test_all_start_with_the_standard_click_and_feed_their_own_last_answer_back(cells: EvaluationSet) -> None:
    found, segmenter, truth = study_one(cells, lambda t, n: grown(t, 3 + n), clicks=3)
    first = next_click(np.zeros_like(truth), truth)
    assert first is not None
    assert set(found.runs) == set(POLICIES)
    for run in found.runs.values():
        assert run.points[0] == [first.x, first.y, 1]
        assert (run.looks[0], run.fallbacks[0]) == (0, False)
        assert len(run.iou) == len(run.points) == len(run.looks) == len(run.fallbacks)
    for place, (prompts, previous) in enumerate(segmenter.asked):
        if len(prompts.points) == 1:
            assert previous is None
        else:
            assert previous is not None
            assert previous.logits is segmenter.given[place - 1]
            assert prompts.extends(segmenter.asked[place - 1][0])


def test_a_run_ends_when_the_mask_is_perfect_or_every_figure_is_known(cells: EvaluationSet) -> None:
    perfect, _, _ = study_one(cells, lambda t, n: t if n >= 2 else grown(t, 5), clicks=20, policies={"centre": centre})
    assert len(perfect.runs["centre"].iou) == 2

    def nearly(truth: BoolArray, _count: int) -> BoolArray:
        out = truth.copy()
        out[0, 0] = True
        return out

    settled, _, _ = study_one(cells, nearly, clicks=20, policies={"centre": centre})
    assert len(settled.runs["centre"].iou) == 10
    hopeless, _, _ = study_one(cells, lambda t, _: grown(t, 2), clicks=20, policies={"centre": centre})
    assert len(hopeless.runs["centre"].iou) == 20


def test_a_policy_that_sees_no_reason_stops_and_its_moves_are_recorded(cells: EvaluationSet) -> None:
    known: list[int] = []

    def twice(view: View) -> Move | None:
        found = centre(view)
        assert found is not None
        known.append(len(view.confirmed))
        if len(view.clicks) == 3:
            return None
        return Move(found.point, 4, is_fallback=len(view.clicks) == 2, confirmed=(PointPrompt(1, 1), PointPrompt(2, 2)))

    found, _, _ = study_one(cells, lambda t, n: grown(t, 2 + n), clicks=20, policies={"twice": twice})
    run = found.runs["twice"]
    assert (run.looks, run.fallbacks) == ([0, 4, 4], [False, False, True])
    assert known == [0, 2, 4], "what was found right is remembered"


def test_an_interrupted_study_goes_on_and_ends_the_same(cells: EvaluationSet, tmp_path: Path) -> None:
    def half(points: tuple[PointPrompt, ...]) -> BoolArray:
        out = np.zeros((96, 96), np.bool_)
        for point in points:
            out[max(0, int(point.y) - 9) : int(point.y) + 9, max(0, int(point.x) - 9) : int(point.x) + 9] = True
        return out

    whole = study_set(ScriptedSegmenter(half), cells, clicks=4)
    assert len(whole) == 6
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        study_set(ScriptedSegmenter(half, stop_at=2), cells, clicks=4, state_path=state)
    kept = state.read_text()
    state.write_text(kept + '{"run": "half a li')
    second = ScriptedSegmenter(half)
    seen: list[tuple[int, int]] = []
    resumed = study_set(second, cells, clicks=4, state_path=state, progress=lambda n, of, _: seen.append((n, of)))
    assert resumed == whole
    assert len(second.encoded) == 1
    assert seen == [(n, 6) for n in range(1, 7)]
    for other in ({"clicks": 3}, {"clicks": 4, "seed": 5}, {"clicks": 4, "adapter_sha256": "b" * 64}):
        fresh = ScriptedSegmenter(half)
        study_set(fresh, cells, state_path=state, **other)
        assert len(fresh.encoded) == 3, f"another study: {other}"


def test_a_file_that_is_no_state_is_left_alone(cells: EvaluationSet, tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    diary.write_text("dear diary\nit rained\n")
    with pytest.raises(ExportError, match="is not the state"):
        study_set(ScriptedSegmenter(lambda _: np.ones((96, 96), np.bool_)), cells, state_path=diary)
    assert diary.read_text() == "dear diary\nit rained\n"


def test_images_of_another_size_are_refused(cells: EvaluationSet, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        width, height = 10, 10

    monkeypatch.setattr(next_click_study, "load_image", lambda _path, **_named: Other())
    with pytest.raises(ImportFormatError, match="not of the size"):
        study_set(ScriptedSegmenter(lambda _: np.ones((96, 96), np.bool_)), cells)


# --- figures ----------------------------------------------------------------------------------------------------------


def study(number: int, image: str, **runs: PolicyRun) -> ObjectStudy:
    return ObjectStudy(number, image, 100, runs)


def run_of(iou: list[float], looks: list[int] | None = None, fallbacks: list[bool] | None = None) -> PolicyRun:
    none = [0] * len(iou)
    return PolicyRun([[1.5, 1.5, 1]] * len(iou), iou, looks or none, fallbacks or [False] * len(iou))


def test_figures_are_means_over_images_of_paired_differences() -> None:
    first = study(
        1,
        "a",
        centre=run_of([0.5, 0.86, 0.95]),
        proposals=run_of([0.5, 0.8, 0.84, 0.91], [0, 2, 8, 1], [False, False, True, False]),
    )
    second = study(2, "a", centre=run_of([0.92]), proposals=run_of([0.92]))
    third = study(3, "b", centre=run_of([0.3] * 5), proposals=run_of([0.3, 0.9, 0.2], [0, 3, 5]))
    found = figures([[first, second, third]], clicks=5)
    assert (found.objects, found.images) == (3, 2)
    measured = found.policies["centre"].measures
    # Image a: clicks 2 and 1; image b: never, so the cap.
    assert measured["NoC@85"].mean == pytest.approx((1.5 + 5) / 2)
    assert measured["IoU, 3"].mean == pytest.approx(((0.95 + 0.92) / 2 + 0.3) / 2)
    assert measured["reach 85"].mean == pytest.approx(0.5)
    assert "IoU, 10" not in measured
    difference = found.differences["proposals", "centre"]["NoC@90"]
    assert difference.mean == pytest.approx((((4 - 3) + 0) / 2 + (2 - 5)) / 2)
    assert difference.low == pytest.approx(-3)
    assert difference.high == pytest.approx(0.5)
    proposed = found.policies["proposals"]
    # Up to the click that reaches 90 %: 2 + 8 + 1 looks, none, 3. What comes after counts no more.
    assert proposed.looks == pytest.approx(14 / 3)
    assert proposed.hits == pytest.approx(3 / 14)
    assert proposed.fallbacks == pytest.approx(1 / 4)
    assert found.policies["centre"].hits is None


def test_alone_is_the_run_until_the_first_fall_back() -> None:
    run = run_of([0.5, 0.7, 0.95, 0.9], [0, 3, 8, 2], [False, False, True, False])
    at_once = run_of([0.6, 0.9], [0, 8], [False, True])
    never = run_of([0.5, 0.88], [0, 1])
    studies = [study(n, f"{n}", centre=run_of([0.5]), proposals=r) for n, r in enumerate((run, at_once, never))]
    found = figures([studies], clicks=10)
    alone = found.policies["proposals, alone"]
    assert alone.measures["IoU, 3"].mean == pytest.approx((0.7 + 0.6 + 0.88) / 3)
    assert alone.measures["NoC@90"].mean == 10
    assert alone.looks == pytest.approx((11 + 8 + 1) / 3)
    assert alone.hits == pytest.approx(2 / 20)
    assert alone.fallbacks == 0
    assert "centre, alone" not in found.policies


def test_several_sets_count_the_same_and_names_of_images_may_repeat() -> None:
    many = [study(n, f"{n}", centre=run_of([0.9])) for n in range(3)]
    one = [study(1, "0", centre=run_of([0.5]))]
    found = figures([many, one], clicks=5)
    assert (found.objects, found.images) == (4, 4)
    assert found.policies["centre"].measures["reach 90"].mean == pytest.approx(0.5)


# --- the command, with the embedded model -----------------------------------------------------------------------------


def test_the_command_with_nano(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_set(tmp_path / "cells", images=1, side=64)
    out = tmp_path / "out.json"
    words = ["study-clicks", str(root), "--device", "cpu", "--max-objects", "1", "--clicks", "4", "--json", str(out)]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    for name in POLICIES:
        assert f"| {name} |" in printed
    assert "| proposals - random, looked at |" in printed
    data = json.loads(out.read_text())
    (item,) = data["per_object"]["cells"]
    assert item["runs"]["centre"]["iou"][-1] > 0.5, "the model finds a bright ellipse"
    for run in item["runs"].values():
        assert run["iou"][0] == item["runs"]["centre"]["iou"][0], "the same first click"
    assert data["figures"]["cells"]["objects"] == 1
    assert data["adapter"] is None
    assert not out.with_name("out.json.state").exists()


def test_an_adapter_answers_and_proposes_and_another_bases_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    base = tmp_path / "base.safetensors"
    save_nano(build_nano(SMALL).eval(), base, config=SMALL, metadata={})
    info = load_segmenter(str(base), device="cpu").info
    network = PromptAdapter(AdapterConfig(SMALL.channels))
    for name, digest in (("own", info.sha256), ("other", "f" * 64)):
        card = AdapterInfo(name, "cells", "base", digest, config_of(network))
        save_adapter(network, card, tmp_path / f"{name}.safetensors")
    seen: list[bool] = []

    def spy(view: View) -> Move | None:
        seen.append(view.answer.chosen.uncertainty is not None)
        return centre(view)

    monkeypatch.setattr(next_click_study.study_object, "__kwdefaults__", {"seed": 0, "policies": {"centre": spy}})
    root = write_set(tmp_path / "cells", images=1)
    words = ["study-clicks", str(root), "--model", str(base), "--device", "cpu", "--clicks", "3", "--max-objects", "1"]
    assert cli.main([*words, "--adapter", str(tmp_path / "own.safetensors")]) == 0
    assert seen
    assert all(seen)
    assert cli.main(["adapters", "import", str(tmp_path / "own.safetensors")]) == 0
    seen.clear()
    assert cli.main([*words, "--adapter", "own"]) == 0
    assert all(seen)
    assert seen, "an installed one, by its name"
    assert cli.main([*words, "--adapter", str(tmp_path / "other.safetensors")]) == 2
    assert "belongs to base (ffffffffffff)" in capsys.readouterr().err


def test_what_a_person_can_get_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(write_set(tmp_path / "cells", images=1))
    for words, told in (
        ([root, "--clicks", "0"], "At least one click"),
        ([root, root], "the same name"),
        ([str(tmp_path / "none")], "There is no project or COCO set"),
        ([root, "--json", str(tmp_path)], "is a folder"),
        ([root, "--adapter", str(tmp_path / "none.safetensors")], "There is no adapter file"),
    ):
        assert cli.main(["study-clicks", *words]) == 2
        assert told in capsys.readouterr().err
