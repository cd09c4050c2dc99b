"""Runs the demo in a process of its own, with a model that knows the sample images, and with one fault planted.

Usage: python -m tests.e2e.demo_driver OUT FAULT..., where "none" is no fault. The exit code of one is the demo's; more
are forked, two at a time, so that the program is imported once: the demo's folder is OUT/fault-FAULT, what it prints
goes to OUT/fault-FAULT.txt, and its end is the line "FAULT EXIT-CODE".
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.demo import story
from annotator.demo.checks import Target
from annotator.demo.run import run_demo
from annotator.domain.answering.logits import mask_from_logits
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates, Embedding
from annotator.domain.project import Annotation, Change, Edit
from annotator.domain.prompt import Prompts
from tests.fakes import FakeEmbedding, FakeSegmenter, fake_engine

SIDE = 256
TARGETS = (
    *(story.ASTRONAUT, story.HELMET, story.CELL, *story.EYES, story.SAUCER, story.SPOON, *story.COINS),
    *(Target("coffee.png", "coffee", (285, 150), story.COFFEE_BOX.as_xyxy()), story.BRAIN),
)
SIZES = {"astronaut.png": (512, 512), "cell.png": (550, 660), "chelsea.png": (451, 300), "coffee.png": (600, 400),
         "coins.png": (384, 303), "ct-head.dcm": (512, 512)}  # fmt: skip


class KnowingSegmenter(FakeSegmenter):
    """Answers with the ellipse of the object that is meant; a negative click takes the smaller object there out.

    The opposite extreme of the weights that ship: whatever model comes lies between the two.
    """

    is_deaf = False
    """Negative clicks are not heard."""
    shift_px = 0.0
    """Every mask lies this far beside the object."""

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        assert isinstance(embedding, FakeEmbedding)
        here = [target for target in TARGETS if _is_of(target, embedding)]
        scales = (0.8, 1.0, 1.2) if prompts.is_ambiguous else (1.0,)
        items = tuple(self._answer(embedding, prompts, here, scale) for scale in scales)
        return Candidates(items, len(items) // 2, 5.0, 3.5)

    def _answer(self, embedding: FakeEmbedding, prompts: Prompts, here: list[Target], scale: float) -> Candidate:
        meant = min(here, key=lambda target: _distance(target, prompts))
        inside = self._ellipse(embedding, meant, scale)
        for point in prompts.points:
            if not point.is_positive and not self.is_deaf:
                there = min(
                    (t for t in here if Box(*t.box_xyxy).area < Box(*meant.box_xyxy).area),
                    key=lambda t: np.hypot(t.click[0] - point.x, t.click[1] - point.y),
                )
                inside = np.minimum(inside, -self._ellipse(embedding, there, 1.1))
        logits = inside.astype(np.float32)
        mask = mask_from_logits(logits, width=embedding.width, height=embedding.height)
        return Candidate(logits, 0.9, 0.95, mask)

    def _ellipse(self, embedding: FakeEmbedding, target: Target, scale: float) -> npt.NDArray[np.float64]:
        box = Box(*target.box_xyxy)
        x = (np.arange(SIDE) + 0.5) * embedding.width / SIDE - box.center[0] - self.shift_px
        y = (np.arange(SIDE) + 0.5) * embedding.height / SIDE - box.center[1]
        # A little rounder than an ellipse: an object fills the corners of its box more than that.
        far = np.abs(x / (box.width / 2 * scale))[None, :] ** 3 + np.abs(y / (box.height / 2 * scale))[:, None] ** 3
        made: npt.NDArray[np.float64] = 4.0 * (1.0 - far)
        return made


def _is_of(target: Target, embedding: FakeEmbedding) -> bool:
    is_grey = bool((embedding.image[..., 0] == embedding.image[..., 1]).all())
    is_ct = target.image == "ct-head.dcm"
    same_size = SIZES[target.image] == (embedding.width, embedding.height)
    return same_size and (is_grey if is_ct else embedding.width != 512 or not is_grey)


def _distance(target: Target, prompts: Prompts) -> float:
    if prompts.box is not None:
        return sum(abs(a - b) for a, b in zip(prompts.box.as_xyxy(), target.box_xyxy, strict=True))
    first = prompts.points[0]
    return float(np.hypot(first.x - target.click[0], first.y - target.click[1]))


# --- faults: each breaks one promise of the program -----------------------------------------------------------------


def _elsewhere(model: KnowingSegmenter) -> None:
    model.shift_px = 150.0


def _deaf(model: KnowingSegmenter) -> None:
    model.is_deaf = True


def _unpainted(_model: KnowingSegmenter) -> None:
    from annotator.ui.canvas.canvas import Canvas

    Canvas.set_candidate = lambda *_arguments, **_more: None  # type: ignore[method-assign]


def _not_stored(_model: KnowingSegmenter) -> None:
    """Accepting tells everybody, and writes nothing."""
    from annotator.ui.project.session import ProjectSession

    original = ProjectSession.apply

    def apply(self: ProjectSession, edit: Edit, **keywords: Any) -> Change:
        rows = [change.after for change in edit.changes if isinstance(change.after, Annotation)]
        if not rows:
            return original(self, edit, **keywords)
        self.annotations = (*self.annotations, *rows)
        return edit.change()

    ProjectSession.apply = apply  # type: ignore[method-assign]


def _other_pixels(_model: KnowingSegmenter) -> None:
    """What is stored is one pixel row smaller than what was shown."""
    from annotator.domain.drafts import state as refine_state

    original: Callable[..., Annotation] = refine_state.annotation_of

    def annotation_of(*arguments: object, **keywords: object) -> Annotation:
        made = original(*arguments, **keywords)
        full = made.mask().full()
        full[made.y] = False
        return made.with_mask(Mask.from_full(full))

    for module in [m for name, m in sys.modules.items() if name.startswith("annotator.ui.")]:
        if getattr(module, "annotation_of", None) is original:
            module.annotation_of = annotation_of  # type: ignore[attr-defined]


def _no_undo(_model: KnowingSegmenter) -> None:
    from annotator.io.project.store import ProjectStore

    setattr(ProjectStore, "undo", lambda _self: None)  # noqa: B010 - a fault, of another type


def _lossy_export(_model: KnowingSegmenter) -> None:
    """COCO goes out with every area wrong, after its own self-check."""
    from annotator.io.formats.coco import export as module

    original = module.export_coco

    def export_coco(store: object, out: Path, **keywords: object) -> object:
        report = original(store, out, **keywords)  # type: ignore[arg-type]
        text = out.read_text("ascii")
        out.write_text(text.replace('"area":', '"area":1'), "ascii")
        return replace(report, path=out)

    module.export_coco = export_coco  # type: ignore[assignment]


def _crash_in_slot(_model: KnowingSegmenter) -> None:
    from annotator.ui.labelling.views import Views

    def on_change(_self: Views, _change: Change) -> None:
        raise RuntimeError("planted")

    setattr(Views, "on_change", on_change)  # noqa: B010 - a fault, of another type


FAULTS: dict[str, Callable[[KnowingSegmenter], None]] = {
    "elsewhere": _elsewhere,
    "deaf": _deaf,
    "unpainted": _unpainted,
    "not-stored": _not_stored,
    "other-pixels": _other_pixels,
    "no-undo": _no_undo,
    "lossy-export": _lossy_export,
    "crash-in-slot": _crash_in_slot,
}


NO_FAULT = "none"
_AT_ONCE = 2


def main(out: str, *faults: str) -> int:
    if len(faults) == 1:
        return _run(Path(out), faults[0])
    waiting, running = list(faults), dict[int, str]()
    while waiting or running:
        while waiting and len(running) < _AT_ONCE:
            fault = waiting.pop(0)
            pid = os.fork()
            if pid == 0:
                return _run_forked(Path(out, f"fault-{fault}"), fault)
            running[pid] = fault
        pid, status = os.wait()
        print(running.pop(pid), os.waitstatus_to_exitcode(status), flush=True)
    return 0


def _run_forked(out: Path, fault: str) -> int:
    out.mkdir()
    said = os.open(out.with_name(f"{out.name}.txt"), os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(said, stream)
    return _run(out, fault)


def _run(out: Path, fault: str) -> int:
    model = KnowingSegmenter("knowing")
    if fault != NO_FAULT:
        FAULTS[fault](model)
    return run_demo(out, engine_factory=fake_engine(model))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
