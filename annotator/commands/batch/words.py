"""What words name in images, for commands: the options, the question, and what stands in the result."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.commands.batch.pipeline import Answer, Found
from annotator.commands.batch.work_list import WorkItem
from annotator.domain.answering.asking import check_prompts
from annotator.domain.phrase import Phrases, split_phrases
from annotator.domain.prompt import PointPrompt

if TYPE_CHECKING:
    from annotator.domain.ports.concept import ExampleBox, Finder
    from annotator.domain.ports.engine import Segmenter
    from annotator.io.images.reader import LoadedImage

DEFAULT_SCORE = 0.3
NOT_MEANT = "not"
"""The class of example boxes round what is not meant."""


def add_word_arguments(parser: Any) -> None:
    """The options that go with ``--text``; ``parser`` is one, or a group of one."""
    parser.add_argument("--finder", metavar="NAME", default="", help="the model for words (default: the best here)")
    parser.add_argument(
        "--examples", type=Path, metavar="FILE", help="boxes round what is meant, in these images; as of batch --boxes"
    )
    parser.add_argument(
        "--min-score", type=_share, metavar="N", help=f"least score of an object, 0 to 1 (default: {DEFAULT_SCORE})"
    )


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to 1")
    return value


class AskWords:
    """Asks for all that words name in an image; a phrase is a category, in the order in which they were typed.

    Args:
        segmenter: answers boxes, or everything, for models that know no masks.
        examples: boxes by :attr:`WorkItem.key`; of an image without any the words alone say what is meant, and without
            words nothing is looked for.
        clicks: on the object that the words are about, in every image.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        finder: Finder,
        phrases: Phrases,
        *,
        min_score: float,
        examples: Mapping[str, tuple[ExampleBox, ...]] | None = None,
        clicks: Sequence[PointPrompt] = (),
    ) -> None:
        self._clicks = tuple(clicks)
        self._segmenter, self._finder, self._phrases, self._min_score = segmenter, finder, phrases, min_score
        self._examples = examples or {}

    def __call__(self, item: WorkItem, image: LoadedImage) -> Answer:
        """Raises:
        UserError: a model has no room for the image.
        """
        from annotator.domain.answering.asking import proposals_of
        from annotator.domain.ports.concept import ConceptAsk, ConceptImage

        segmenter, examples = self._segmenter, self._examples.get(item.key, ())
        if not self._phrases.wanted and not any(example.is_positive for example in examples):
            return Answer()
        asked = ConceptImage(
            image.rgb, image.image_key, segmenter, lambda: segmenter.encode(image.rgb, image.image_key)
        )
        if self._clicks:
            check_prompts(self._clicks, None, width=image.width, height=image.height)
        found = proposals_of(self._finder.steps(asked, ConceptAsk(self._phrases, examples, clicks=self._clicks)))
        wanted = list(self._phrases.wanted) or [""]
        return Answer(
            tuple(
                Found(
                    one.mask,
                    one.predicted_iou,
                    wanted.index(one.phrase) + 1,
                    {"stability_score": round(one.stability_score, 4), "phrase": one.phrase},
                )
                for one in found
                if one.predicted_iou >= self._min_score
            )
        )


def words_of(args: argparse.Namespace) -> Phrases:
    """What was typed behind ``--text``; what cannot be used of it is said.

    Raises:
        PromptError: there are no words.
    """
    phrases = split_phrases(args.text, are_needed=args.examples is None)
    for note in phrases.notes:
        print(f"annotator: {note}", file=sys.stderr)
    return phrases


def asked_in_words(
    args: argparse.Namespace, segmenter: Segmenter, phrases: Phrases, items: Sequence[WorkItem]
) -> tuple[dict[str, Any], dict[int, str], AskWords]:
    """What stands of it in the result's ``info``, the categories, and how images are asked.

    Raises:
        ModelError: there is no model for words, or it cannot be loaded; UserError: examples that cannot be used.
    """
    from typing import cast

    from annotator.domain.ports.concept import Finder
    from annotator.engine.finders import check_takes_clicks, check_takes_examples, load_named

    examples, mark = _examples_of(args, items)
    if examples:
        check_takes_examples(args.finder)
    clicks: list[PointPrompt] = getattr(args, "point", [])
    if clicks:
        check_takes_clicks(args.finder)
    finder = cast(Finder, load_named(args.finder, "finder", device=args.device or "", say=_say))
    min_score = DEFAULT_SCORE if args.min_score is None else args.min_score
    info = {
        "words": {
            "wanted": list(phrases.wanted),
            "unwanted": list(phrases.unwanted),
            "min_score": min_score,
            "finder": finder.info.name,
            "finder_sha256": finder.info.sha256,
        }
    }
    if mark:
        info["words"]["examples_sha256"] = mark
    if clicks:
        info["words"]["clicks"] = [[one.x, one.y, int(one.is_positive)] for one in clicks]
    categories = dict(enumerate(phrases.wanted or ("object",), start=1))
    return info, categories, AskWords(segmenter, finder, phrases, min_score=min_score, examples=examples, clicks=clicks)


def _examples_of(args: argparse.Namespace, items: Sequence[WorkItem]) -> tuple[dict[str, tuple[ExampleBox, ...]], str]:
    """Boxes by :attr:`WorkItem.key`, those of the class "not" round what is not meant; and the SHA-256 of their file.

    Raises:
        UserError: the file cannot be read, or no image of it is here.
    """
    if args.examples is None:
        return {}, ""
    from annotator.commands.batch.prompts import read_boxes
    from annotator.domain.ports.concept import ExampleBox

    prompts = read_boxes(args.examples)
    found, _ = prompts.matched(items)
    boxes = {
        key: tuple(
            ExampleBox(one.box, prompts.categories.get(one.category_id, "").casefold() != NOT_MEANT)
            for one in questions
            if one.box is not None
        )
        for key, questions in found.items()
    }
    return boxes, prompts.sha256


def _say(line: str) -> None:
    print(f"annotator: {line}", file=sys.stderr)
