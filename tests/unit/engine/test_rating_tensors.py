"""The rating network in an embedded model's file: it comes back, it decides, and a damaged one is refused in a line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from annotator.domain.answering.evidence import EVIDENCE
from annotator.domain.answering.rating_network import RatingNetwork
from annotator.domain.errors import ModelError
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import NanoConfig, build_nano, load_nano, save_nano, say_in_nano
from annotator.engine.sam2.rating_tensors import COLUMNS_KEY, columns_text, rating_tensors
from annotator.engine.zoom.piecewise import ZoomEmbedding
from annotator.engine.zoom.segmenter import ZoomSegmenter

TINY = NanoConfig(
    image_size=128, channels=64, stage_channels=(16, 16, 32, 32), stage_blocks=(1, 1, 1, 1), mlp_channels=64
)
SAID = {COLUMNS_KEY: columns_text()}
CLICK = Prompts((PointPrompt(150.5, 100.5),))


def network(column: str, weight: float) -> RatingNetwork:
    """So much of one column."""
    nothing = np.zeros(len(EVIDENCE))
    direct = np.array([weight if name == column else 0.0 for name in EVIDENCE])
    return RatingNetwork(nothing, nothing + 10, np.zeros((len(EVIDENCE), 2)), np.zeros(2), np.zeros(2), direct)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("nano") / "nano-9.safetensors"
    save_nano(build_nano(TINY).eval(), path, config=TINY, metadata={"licence": "test"})
    return path


def loaded(path: Path) -> ZoomSegmenter:
    found = load_segmenter(str(path), device="cpu", dtype=torch.float32)
    assert isinstance(found, ZoomSegmenter)
    return found


def test_a_file_without_one_has_none_and_one_with_it_has_the_same_model(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "nano-9.safetensors"
    say_in_nano(plain, out, SAID, rating_tensors(network("log_area", 0.25)))
    assert loaded(plain).calibration.network is None
    found = loaded(out).calibration.network
    assert found is not None
    assert found.direct[EVIDENCE.index("log_area")] == 0.25
    (before, _, _), (after, _, _) = load_nano(plain), load_nano(out)
    assert all(torch.equal(after.state_dict()[name], tensor) for name, tensor in before.state_dict().items())
    say_in_nano(out, out, {"note": "said later"})
    assert loaded(out).calibration.network is not None, "saying more leaves it"
    say_in_nano(out, out, {COLUMNS_KEY: ""}, {})
    assert loaded(out).calibration.network is None


def test_it_decides_which_answer_is_shown_for_one_click(plain: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    areas = {}
    for name, weight in (("largest", 10.0), ("smallest", -10.0)):
        path = tmp_path / f"{name}.safetensors"
        say_in_nano(plain, path, SAID, rating_tensors(network("log_area", weight)))
        segmenter = loaded(path)
        embedding = segmenter.encode(image, "image")
        hypotheses = segmenter.hypotheses(embedding, CLICK)
        all_areas = [h.candidate.mask.area for h in hypotheses]
        assert len(set(all_areas)) > 3
        areas[name] = segmenter.decode(embedding, CLICK).chosen.mask.area
        assert areas[name] == (max if weight > 0 else min)(all_areas)
        assert not is_network_asked(segmenter, embedding, Prompts((*CLICK.points, PointPrompt(160.5, 90.5))))
    assert areas["largest"] > areas["smallest"]


def is_network_asked(segmenter: ZoomSegmenter, embedding: ZoomEmbedding, prompts: Prompts) -> bool:
    """Whether the answer differs from that of the linear ratings alone."""
    own = segmenter.calibration
    with_it = segmenter.decode(embedding, prompts).chosen.mask
    segmenter.calibration = replace(own, network=None)
    without = segmenter.decode(embedding, prompts).chosen.mask
    segmenter.calibration = own
    return not with_it.same_pixels(without)


def damaged(change: Callable[[dict[str, Tensor]], None]) -> dict[str, Tensor]:
    tensors = rating_tensors(network("log_area", 0.25))
    change(tensors)
    return tensors


def put(name: str, values: Tensor) -> Callable[[dict[str, Tensor]], None]:
    return lambda tensors: tensors.update({f"rating_network.{name}": values})


@pytest.mark.parametrize(
    "change",
    [
        put("direct", torch.full((len(EVIDENCE),), float("nan"))),
        put("hidden", torch.full((len(EVIDENCE), 2), float("inf"))),
        put("hidden", torch.zeros(len(EVIDENCE) + 1, 2)),
        put("out", torch.zeros(3)),
        put("mean", torch.zeros(1, len(EVIDENCE))),
        put("spread", torch.zeros(len(EVIDENCE))),
        put("more", torch.zeros(1)),
        lambda tensors: tensors.pop("rating_network.out"),
    ],
    ids=["nan", "infinite", "columns", "units", "dimensions", "spread", "more", "less"],
)
def test_a_damaged_one_is_refused_in_one_line(
    plain: Path, tmp_path: Path, change: Callable[[dict[str, Tensor]], None]
) -> None:
    path = tmp_path / "bad.safetensors"
    say_in_nano(plain, path, SAID, damaged(change))
    with pytest.raises(ModelError, match=r"bad\.safetensors does not hold the model") as refused:
        loaded(path)
    assert "\n" not in str(refused.value)


def test_one_that_reads_other_columns_is_refused(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    for said in ({}, {COLUMNS_KEY: "predicted,other"}):
        say_in_nano(plain, path, said, rating_tensors(network("log_area", 0.25)))
        with pytest.raises(ModelError, match="does not hold the model"):
            loaded(path)
