"""The gate: base and candidate on the same prompts, its sums, and a kill in between."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.commands.train.run import verdict
from annotator.domain.adapter import AdapterInfo
from annotator.domain.metrics import boundary_iou
from annotator.engine.sam2.adapted_decoder import Adapter
from annotator.engine.sam2.adapter_files import config_of
from annotator.engine.sam2.adapter_network import PromptAdapter
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.evaluate.objects import EvaluationSet
from annotator.evaluate.run import ObjectResult, evaluate_object
from annotator.train.data.sources import Split, read_source
from annotator.train.run.gate import DECIDING, Contestant, GateResult, judge, summarize
from tests.small_base import BASE
from tests.unit.train.scenes import write_set


def test_the_gate_judges_on_the_same_prompts(segmenter: Sam2Segmenter, parts: Split) -> None:
    network = PromptAdapter.on(segmenter.model)
    info = AdapterInfo("same", "", BASE.name, BASE.sha256, config_of(network))
    told: list[tuple[int, int]] = []
    found = judge(
        Contestant(segmenter),
        Contestant(segmenter, Adapter(network, info)),
        parts.held_back,
        clicks=5,
        progress=lambda *n: told.append(n),
    )
    assert segmenter.adapter is None
    assert told[-1] == (4, 4)
    assert (found.objects, found.images) == (4, 2)
    for base, adapted in found.per_object:  # an untrained adapter is its base
        assert (base.iou, base.biou, base.box_iou) == (adapted.iou, adapted.biou, adapted.box_iou)
    assert found.row("IoU, box").difference.mean == 0
    assert not found.is_better
    assert not found.is_certain
    assert "| NoC@90 |" in found.markdown("x")
    assert json.loads(json.dumps(found.to_json()))["objects"] == 4


def result(image: str, number: int, value: float) -> ObjectResult:
    return ObjectResult(
        annotation_id=number,
        image=image,
        area=10,
        points=[],
        iou=[value] * 5,
        biou=[value] * 5,
        box_iou=value,
        box_biou=value,
        encode_ms=1.0,
        decode_ms=1.0,
        predicted_iou=[value] * 5,
        box_predicted_iou=value,
    )


class KilledError(Exception):
    pass


def killed_after(objects: int) -> Any:
    def progress(done: int, _all: int) -> None:
        if done == objects:
            raise KilledError

    return progress


def figures(gate: GateResult) -> list[Any]:
    """All that does not depend on the clock."""
    return [[replace(item, encode_ms=0.0, decode_ms=0.0) for item in pair] for pair in gate.per_object] + [
        list(gate.rows)
    ]


def test_a_killed_gate_goes_on(
    segmenter: Sam2Segmenter, parts: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(engine: Any, embedding: Any, item: Any, target: Any, *, clicks: int) -> ObjectResult:
        asked.append(item.id)
        return evaluate_object(engine, embedding, item, target, clicks=clicks)

    monkeypatch.setattr("annotator.train.run.gate.evaluate_object", counted)
    network = PromptAdapter.on(segmenter.model)
    torch.nn.init.constant_(network.query_gate, 0.5)
    info = AdapterInfo("x", "", BASE.name, BASE.sha256, config_of(network))
    base, candidate = Contestant(segmenter), Contestant(segmenter, Adapter(network, info))
    straight = judge(base, candidate, parts.held_back, clicks=5)
    assert len(asked) == 2 * 4
    state = tmp_path / "gate.state"
    with pytest.raises(KilledError):
        judge(base, candidate, parts.held_back, clicks=5, progress=killed_after(3), state_path=state)
    assert segmenter.adapter is None
    with state.open("a") as file:
        file.write('{"run": "torn')  # as a kill leaves it
    asked.clear()
    resumed = judge(base, candidate, parts.held_back, clicks=5, state_path=state)
    assert len(asked) == 2 * 1
    assert figures(resumed) == figures(straight)

    def fresh(*two: Contestant, clicks: int = 5) -> int:
        asked.clear()
        judge(*two, parts.held_back, clicks=clicks, state_path=state)
        return len(asked)

    assert fresh(base, candidate) == 0
    assert fresh(base, candidate, clicks=6) == 2 * 4  # other settings
    torch.nn.init.constant_(network.query_gate, 0.6)
    assert fresh(base, candidate) == 2 * 4  # other weights, by the same name
    assert fresh(base, Contestant(segmenter, weights="tuned")) == 2 * 4
    image = parts.held_back[0].image.path
    os.utime(image, (1, 1))
    assert fresh(base, candidate) == 2 * 2  # another picture: its two objects are judged again


def test_the_gates_sums_by_hand() -> None:
    values = {"a": [(0.5, 0.7), (0.7, 0.7)], "b": [(0.9, 0.95)]}
    pairs = [
        (image, result(image, n, base), result(image, n, adapted))
        for image, found in values.items()
        for n, (base, adapted) in enumerate(found)
    ]
    gate = summarize(pairs, clicks=5)
    row = gate.row(DECIDING)
    assert row.base.mean == pytest.approx((0.6 + 0.9) / 2)
    assert row.adapter.mean == pytest.approx((0.7 + 0.95) / 2)
    assert row.difference.mean == pytest.approx((0.1 + 0.05) / 2)
    assert row.difference.low == pytest.approx(0.05)
    assert row.difference.high == pytest.approx(0.1)
    assert gate.is_better
    assert gate.is_certain
    assert gate.row("NoC@85").base.mean == pytest.approx((5 + 1) / 2)
    worse = summarize([(image, adapted, base) for image, base, adapted in pairs], clicks=5)
    assert not worse.is_better
    assert "first impression, from 2 images" in verdict(gate)
    assert "interval -0.100 to -0.050)" in verdict(worse)


def test_one_image_has_no_interval() -> None:
    pairs = [("a", result("a", n, 0.5), result("a", n, 0.6)) for n in range(3)]
    gate = summarize(pairs, clicks=5)
    assert gate.is_better
    assert not gate.is_certain
    assert "| bIoU, all | 0.500 | 0.600 | +0.100 |" in gate.markdown("x")
    assert "one image" in gate.markdown("x")
    said = verdict(gate)
    assert "(+0.100). That is a first impression, from one image" in said
    assert "interval" not in said
    many = summarize([(f"{n}", base, other) for n, (_, base, other) in enumerate(pairs * 4)], clicks=5)
    assert "impression" not in verdict(many)


def test_boundary_measure_is_the_known_one() -> None:
    truth = np.zeros((100, 100), bool)
    truth[20:80, 20:80] = True
    moved = np.roll(truth, 3, 1)
    assert 0 < boundary_iou(moved, truth) < 0.6


def test_sets_that_share_their_ids_are_judged_alike(root: Path, tmp_path: Path) -> None:
    sources = [read_source(root), read_source(write_set(tmp_path / "other", images=10, seed=3))]
    both = EvaluationSet(tuple(item for source in sources for item in source.objects), "")
    chosen = both.subset(10, seed=0)
    assert len({item.image.path for item in chosen}) == 10  # one object of each image
    shares = [sum(item in source.objects for item in chosen) for source in sources]
    assert min(shares) >= 3
    # A single set's choice is what published figures rest on.
    assert [item.id for item in EvaluationSet(sources[0].objects, "").subset(7, seed=0)] == [5, 9, 16, 20, 1, 4, 8]
