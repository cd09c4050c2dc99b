"""SAM 2's video memory by our own loop: the package's predictor with the same random weights gives the same logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from annotator.domain.errors import EncodeCancelled
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Embedding, ModelInfo
from annotator.domain.ports.tracking import TrackFrame, TrackSeed, TrackState
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.memory_tracker import RECENT_KEPT, MemoryTracker, has_memory
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.engine.tracking.flow_tracker import FlowTracker
from annotator.engine.tracking.propagators import propagator_of

CONFIG, SIDE, FRAMES = "configs/sam2.1/sam2.1_hiera_t.yaml", 128, 20
WIDTH, HEIGHT = 96, 72


def no() -> bool:
    return False


def pictures() -> list[np.ndarray]:
    ground = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8), (0, 0), 3)
    found = []
    for at in range(FRAMES):
        picture = ground.copy()
        cv2.circle(picture, (25 + 2 * at, 25), 12, (230, 60, 40), -1)
        cv2.rectangle(picture, (60, 45 - at), (82, 60 - at), (40, 200, 90), -1)
        found.append(picture)
    return found


def masks(at: int) -> list[np.ndarray]:
    disc, block = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(disc, (25 + 2 * at, 25), 12, 1, -1)
    cv2.rectangle(block, (60, 45 - at), (82, 60 - at), 1, -1)
    return [disc > 0, block > 0]


@pytest.fixture(scope="module")
def predictor() -> Any:
    from sam2.build_sam import build_sam2_video_predictor

    torch.manual_seed(0)
    overrides = [f"++model.image_size={SIDE}"]
    return build_sam2_video_predictor(CONFIG, None, device="cpu", hydra_overrides_extra=overrides)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for at, picture in enumerate(pictures()):
        cv2.imwrite(str(folder / f"{at:05d}.jpg"), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    return folder


@pytest.fixture
def segmenter(predictor: Any) -> Sam2Segmenter:
    return Sam2Segmenter(predictor, ModelInfo("tiny", "sha", "cpu", "float32", SIDE))


def ours(segmenter: Sam2Segmenter, state: Any, direction: int = 1) -> tuple[MemoryTracker, dict[int, torch.Tensor]]:
    """A tracker on the predictor's own pixels, and the logits of its steps by position."""
    logits: dict[int, torch.Tensor] = {}

    def embedding_of(frame: TrackFrame, is_cancelled: Callable[[], bool]) -> Embedding:
        blank = segmenter.encode(frame.image, frame.image_key)
        with torch.inference_mode():
            found = segmenter.model.forward_image(state["images"][frame.position][None])["backbone_fpn"]
        low = found[2] + segmenter.model.no_mem_embed.view(1, -1, 1, 1)
        return type(blank)(blank.key, WIDTH, HEIGHT, 0.0, found[0], found[1], low, blank.thumbnail)

    tracker = segmenter.propagator(frames=FRAMES, direction=direction, embedding_of=embedding_of)  # type: ignore[arg-type]
    assert isinstance(tracker, MemoryTracker)
    step = tracker._step_group

    def remembered(position: int, ids: Any, levels: Any) -> Any:
        out = step(position, ids, levels)
        for at, one in enumerate(ids):
            logits[position, one] = out["pred_masks"][at]  # type: ignore[index]
        return out

    tracker._step_group = remembered  # type: ignore[method-assign]
    return tracker, logits


def frame(at: int) -> TrackFrame:
    return TrackFrame(at, pictures()[at], f"frame {at}")


@pytest.mark.filterwarnings("ignore:cannot import name")  # its filling of holes, which nobody has built
@pytest.mark.parametrize("direction", [1, pytest.param(-1, marks=pytest.mark.slow)])
def test_the_same_logits_as_the_video_predictor(
    predictor: Any, video: Path, segmenter: Sam2Segmenter, direction: int
) -> None:
    """More frames than pointers are kept, and two objects in one pass."""
    start = 0 if direction > 0 else FRAMES - 1
    state = predictor.init_state(str(video))
    for number, mask in enumerate(masks(start), start=1):
        predictor.add_new_mask(state, start, number, mask)
    theirs = {at: logits.clone() for at, _, logits in predictor.propagate_in_video(state, reverse=direction < 0)}
    tracker, logits = ours(segmenter, state, direction)
    tracker.seed(
        frame(start), [TrackSeed(n, Mask.from_full(m)) for n, m in enumerate(masks(start), 1)], is_cancelled=no
    )
    for at in range(start + direction, FRAMES if direction > 0 else -1, direction):
        tracker.step(frame(at), [1, 2], is_cancelled=no)
        for number in (1, 2):
            whole = F.interpolate(logits[at, number][None], (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0]  # type: ignore[index]
            assert float((whole - theirs[at][number - 1]).abs().max()) < 1e-4
            assert bool(((whole > 0) == (theirs[at][number - 1] > 0)).all())


@pytest.mark.slow
def test_memory_is_bounded(segmenter: Sam2Segmenter, predictor: Any, video: Path) -> None:
    tracker, _ = ours(segmenter, predictor.init_state(str(video)))
    (first, second) = masks(0)
    tracker.seed(frame(0), [TrackSeed(1, Mask.from_full(first))], is_cancelled=no)
    for at in range(1, FRAMES):
        tracker.step(frame(at), [1], is_cancelled=no)
    memory = tracker._memories[1]
    assert len(memory.recent) == RECENT_KEPT
    spatial = [at for at, out in memory.recent.items() if out["maskmem_features"] is not None]
    assert spatial == list(range(FRAMES - segmenter.model.num_maskmem, FRAMES))  # type: ignore[operator]
    tracker.seed(frame(15), [TrackSeed(1, Mask.from_full(second))], is_cancelled=no)
    assert set(memory.certain) == {0, 15}
    assert all(abs(at - 15) > 7 for at in memory.recent)  # what was thought beside a correction is not remembered


def test_a_newcomer_joins_and_each_object_is_answered_as_alone(
    segmenter: Sam2Segmenter, predictor: Any, video: Path
) -> None:
    state = predictor.init_state(str(video))
    both, together = ours(segmenter, state)
    alone, single = ours(segmenter, state)
    both.seed(frame(0), [TrackSeed(1, Mask.from_full(masks(0)[0]))], is_cancelled=no)
    alone.seed(frame(2), [TrackSeed(2, Mask.from_full(masks(2)[1]))], is_cancelled=no)
    for at in range(1, 6):
        if at > 2:
            alone.step(frame(at), [2], is_cancelled=no)
        both.step(frame(at), [1] if at <= 2 else [1, 2], is_cancelled=no)
        if at == 2:
            both.seed(frame(2), [TrackSeed(2, Mask.from_full(masks(2)[1]))], is_cancelled=no)
    for at in range(3, 6):
        assert float((together[at, 2] - single[at, 2]).abs().max()) < 1e-4  # type: ignore[index]


def test_a_cancelled_step_leaves_everything_as_it_was(segmenter: Sam2Segmenter) -> None:
    def embedding_of(at: TrackFrame, is_cancelled: Callable[[], bool]) -> Embedding:
        return segmenter.encode(at.image, at.image_key, is_cancelled=is_cancelled)

    tracker = propagator_of(segmenter, frames=FRAMES, direction=1, embedding_of=embedding_of)
    tracker.seed(frame(0), [TrackSeed(1, Mask.from_full(masks(0)[0]))], is_cancelled=no)
    with pytest.raises(EncodeCancelled):
        tracker.step(frame(1), [1], is_cancelled=lambda: True)
    (answer,) = tracker.step(frame(1), [1], is_cancelled=no)
    assert answer.position == 1
    assert (answer.state is TrackState.LOST) == answer.mask.is_empty
    assert 0 <= answer.confidence <= 1
    assert tracker.finds_again


def test_models_without_a_memory_are_carried_by_motion(segmenter: Sam2Segmenter) -> None:
    nano = load_segmenter("nano", device="cpu")
    made = propagator_of(nano, frames=9, direction=1, embedding_of=lambda at, stop: nano.encode(at.image, at.image_key))
    assert isinstance(made, FlowTracker)
    assert has_memory(segmenter.model)
