"""How many clicks and keys it takes to label every object of crowded images by proposals.

    python -m annotator.studies.actions_study DEV/dsb2018_nuclei --model nano-3 --images 4

A person is played who asks for everything, drops what is wrong of what the window shows, accepts the rest at once, and
clicks and accepts each object that is missing then. Or who asks, before those clicks, for more like what was accepted
(the window takes the last of them as examples), drops what is wrong of that, and accepts the rest at once, too; and so
again as long as that brings many. The key that raises the score is pressed where that saves more than it costs.
Every drop teaches, as it does in the window.
A proposal that touches no annotated object and has the size of one is taken for an object that nobody annotated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from annotator.domain.answering.asking import proposals_of
from annotator.domain.answering.everything import Proposal
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.likeness.choosing import MOST_EXAMPLES, few_of
from annotator.domain.likeness.describe import describe
from annotator.domain.mask import Mask
from annotator.domain.ports.likeness import LEAST_LIKE_SCORE, Examples, LikeQuestion
from annotator.domain.proposals.remembered import FIRST_LIMITS
from annotator.domain.proposals.review import ProposalReview
from annotator.domain.proposals.table import KeptProposal, Limits, ProposalTable
from annotator.domain.proposals.teaching import Lessons
from annotator.engine.load import load_segmenter
from annotator.io.formats.coco.parse import decode_segmentation
from annotator.io.images.reading import LoadedImage, load_image

HIT_IOU = 0.5
TOUCHING_SHARE = 0.02
"""Of a proposal on annotated objects, at most this much for one that touches none."""
SIZES = (0.8, 1.25)
"""An object that nobody annotated is no smaller or larger than nearly all (2 to 98 %) of the annotated ones by this."""
CLICK_AND_KEY = 2
SCORE_STEP, MOST_PRESSES = 0.05, 8
"""Of the key ``]``."""
MOST_SEARCHES = 3
WORTH_ANOTHER = 8
"""Whoever got so many by a search for more like it searches once more."""


class Crowd:
    """The objects of an image; which of them are there already."""

    def __init__(self, image: LoadedImage, masks: Sequence[Mask]) -> None:
        self.image, self.masks = image, tuple(masks)
        self.there: set[int] = set()
        self.unknown: list[Mask] = []
        """What nobody annotated and is there now."""
        least, most = np.quantile([mask.area for mask in masks], (0.02, 0.98))
        self._sizes = SIZES[0] * least, SIZES[1] * most

    def is_wrong(self, mask: Mask, taken: set[int]) -> bool:
        """Whether a proposal is no object, or one of those ``taken`` again; else it is added to them."""
        ious = [mask.iou(one) for one in self.masks]
        best = int(np.argmax(ious))
        if ious[best] >= HIT_IOU:
            is_again = best in taken
            taken.add(best)
            return is_again
        touched = max(mask.intersection_area(one) for one in self.masks)
        return touched > TOUCHING_SHARE * mask.area or not self._sizes[0] <= mask.area <= self._sizes[1]

    @property
    def missing(self) -> int:
        return len(self.masks) - len(self.there)


@dataclass(frozen=True, slots=True, eq=False)
class Reviewed:
    """What a person made of proposals.

    Attributes:
        dropped: what was wrong. right: what is left, the best first.
        found: how many of these are annotated objects that were missing.
        presses: of the key that raises the score that is asked for.
    """

    dropped: tuple[Mask, ...]
    right: tuple[Mask, ...]
    found: int
    presses: int = 0

    @property
    def actions(self) -> int:
        """With the key that accepts the rest."""
        return self.presses + len(self.dropped) + 1


def at_best_score(crowd: Crowd, review: ProposalReview) -> tuple[ProposalReview, int]:
    """With the score that is asked for raised as often as saves most actions, and how often that is.

    What is wrong and shown is dropped one by one, what is right and not shown clicked and accepted. Lowering is not
    played: among what is rated low, much that touches no annotated object has the size of one by chance.
    """

    def cost(some: ProposalReview) -> int:
        taken = set(crowd.there)
        wrong = sum(crowd.is_wrong(some.table[one].mask, taken) for one in some.shown)
        return wrong - CLICK_AND_KEY * (len(some.shown) - wrong)

    best, least = (review, 0), cost(review)
    for presses in range(1, MOST_PRESSES + 1):
        score = round(review.limits.least_score + presses * SCORE_STEP, 2)
        other = review.limited(replace(review.limits, least_score=min(score, 1.0)))
        if (actions := presses + cost(other)) < least:
            best, least = (other, presses), actions
    return best


def reviewed(crowd: Crowd, proposals: Sequence[Proposal], limits: Limits, dropped: Sequence[Mask] = ()) -> Reviewed:
    """Drop until all that is shown is right, and accept that. Each drop teaches as it does in the window: what is like
    it may go, too, and behind what is gone a worse one may appear.

    Args:
        dropped: before; what is like one of these does not come again.
    """
    rows = [
        KeptProposal(at + 1, p.mask.tight(), b"", p.predicted_iou)
        for at, p in enumerate(proposals)
        if not p.mask.is_empty
    ]
    table = ProposalTable(rows)
    again = frozenset(one for mask in dropped for one in table.like(mask))
    table = ProposalTable([item for item in rows if item.id not in again])
    review, lessons = ProposalReview(table=table).limited(limits), Lessons()
    lessons.learned({item.id: describe(crowd.image.rgb, item.mask) for item in table.items}, review)
    review, presses = at_best_score(crowd, review)
    gone: list[Mask] = []
    while True:
        taken = set(crowd.there)
        wrong = next((one for one in review.shown if crowd.is_wrong(table[one].mask, taken)), None)
        if wrong is None:
            break
        gone.append(table[wrong].mask)
        review = lessons.applied(review.drop([wrong]))
    found = len(taken) - len(crowd.there)
    right = tuple(table[one].mask for one in review.shown)
    crowd.there = taken
    crowd.unknown += [mask for mask in right if max(mask.iou(one) for one in crowd.masks) < HIT_IOU]
    return Reviewed(tuple(gone), right, found, presses)


def counts(segmenter: Any, crowd: Crowd) -> Counter[str]:
    """Of one image: what was dropped, missing, there, and the actions, without and with searches for more like it."""
    image = crowd.image
    embedding = segmenter.encode(image.rgb, image.image_key)
    found = proposals_of(segmenter.everything(embedding, image.rgb, segmenter.everything_settings))
    first = reviewed(crowd, found, FIRST_LIMITS)
    begun = 1 + first.actions
    row = Counter(dropped=len(first.dropped), missing=crowd.missing, objects=len(crowd.masks) + len(crowd.unknown))
    row["annotated"], row["pressed"] = len(crowd.masks), first.presses
    row["actions"] = begun + CLICK_AND_KEY * crowd.missing
    accepted, dropped, unlike = list(first.right), list(first.dropped), list[Mask]()
    limits = Limits(least_score=LEAST_LIKE_SCORE, most_overlap=FIRST_LIMITS.most_overlap)
    for _ in range(MOST_SEARCHES if accepted else 0):
        # The window takes these, and what was dropped of what was found by examples.
        examples = Examples(image.rgb, image.image_key, few_of(accepted), unlike=tuple(unlike[-MOST_EXAMPLES:]))
        steps = segmenter.likeness.steps(
            embedding, image.rgb, image.image_key, LikeQuestion((examples,)), list(accepted)
        )
        more = reviewed(crowd, proposals_of(steps), limits, dropped)
        begun += 1 + more.actions
        row["searches"] += 1
        row["like_dropped"] += len(more.dropped)
        row["like_pressed"] += more.presses
        row["like_found"] += more.found
        accepted += more.right
        dropped += more.dropped
        unlike += more.dropped
        if len(more.right) < WORTH_ANOTHER:
            break
    row["like_missing"] = crowd.missing
    row["like_objects"] = len(crowd.masks) + len(crowd.unknown)
    row["like_actions"] = begun + CLICK_AND_KEY * crowd.missing
    return row


def for_all(row: Counter[str], kind: str = "") -> Counter[str]:
    """Objects and actions when of those that nobody annotated as large a share is missing as of the others: what no
    proposal finds of them is not seen, so that the plain counts are too good."""
    there = row[f"{kind}objects"] - row[f"{kind}missing"]
    share = row[f"{kind}missing"] / row["annotated"]
    objects = there / (1 - share) if share < 1 else float(row[f"{kind}objects"])
    begun = row[f"{kind}actions"] - CLICK_AND_KEY * row[f"{kind}missing"]
    return Counter({"objects": round(objects), "actions": round(begun + CLICK_AND_KEY * share * objects)})


def crowds(root: Path, count: int) -> Iterator[tuple[str, Crowd]]:
    """The images of a set with the most annotated objects."""
    data = json.loads((root / "annotations.json").read_text("utf-8"))
    rows: dict[int, list[Any]] = {image["id"]: [] for image in data["images"]}
    for row in data["annotations"]:
        rows[row["image_id"]].append(row["segmentation"])
    for image in sorted(data["images"], key=lambda one: (-len(rows[one["id"]]), one["id"]))[:count]:
        loaded = load_image(root / image["file_name"])
        size = {"width": loaded.width, "height": loaded.height}
        masks = [decode_segmentation(one, **size)[0] for one in rows[image["id"]]]
        yield image["file_name"], Crowd(loaded, [mask for mask in masks if not mask.is_empty])


def main(argv: Sequence[str] | None = None) -> int:
    """Count, print a row for each image and one for all."""
    parser = argparse.ArgumentParser(description="actions that crowded images take by proposals")
    parser.add_argument("root", type=Path, help="an image set")
    parser.add_argument("--model")
    parser.add_argument("--images", type=int, default=4)
    args = parser.parse_args(argv)
    segmenter = load_segmenter(args.model)
    if not hasattr(segmenter, "likeness") or not hasattr(segmenter, "everything_settings"):
        raise ModelError(f"{brief(segmenter.info.name)} makes no proposals.", "Name another model.")
    total: Counter[str] = Counter()
    fair = {"": Counter[str](), "like_": Counter[str]()}
    for name, crowd in crowds(args.root, args.images):
        row = counts(segmenter, crowd)
        print(name, dict(row), flush=True)
        total += row
        for kind in fair:
            fair[kind] += for_all(row, kind)
    print("all", dict(total))
    for kind, said in (("", "everything alone"), ("like_", "and more like it")):
        plain = total[f"{kind}actions"] / max(total[f"{kind}objects"], 1)
        every = fair[kind]["actions"] / max(fair[kind]["objects"], 1)
        print(
            f"{said}: {plain:.2f} actions for each object seen, {every:.2f} with those that nobody annotated or found"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
