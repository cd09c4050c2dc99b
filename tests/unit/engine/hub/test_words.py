"""Words to masks with the library's real classes: what is asked, cut, refused and put together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from annotator.domain.answering.everything import Proposal
from annotator.domain.errors import ModelError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.phrase import Phrases, split_phrases
from annotator.domain.ports.concept import ConceptAsk, ConceptImage, ExampleBox
from annotator.engine import terms, weights
from annotator.engine.finders import FinderShelf, load_named, offers
from annotator.engine.hf.boxes import BoxFinder, FoundBox, best_boxes
from annotator.engine.hf.clip import ClipRanker, crops_of
from annotator.engine.hf.grounding_dino import GroundingDino
from annotator.engine.hf.sam3 import Sam3Finder
from annotator.engine.load import load_segmenter
from tests.unit.engine.hub.tiny_hub import WORD_KINDS, picture, saved_with_words


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("words")
    found = {kind: saved_with_words(kind, place, length=length) for kind, (_, length) in WORD_KINDS.items()}
    return found | {"clip": saved_with_words("clip", place, length=16)}


@pytest.fixture
def here(library: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """All of them, imported as a person does it, and their licences accepted."""
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))
    for kind, (name, _) in WORD_KINDS.items():
        weights.import_file(library[kind], name=name)
    weights.import_file(library["clip"], name="tinyclip")
    terms.accept(weights.registry()["sam3"])
    return library


def image() -> ConceptImage:
    rgb, segmenter = picture(), load_segmenter("grabcut")
    return ConceptImage(rgb, "k", segmenter, lambda: segmenter.encode(rgb, "k"))


def ask(text: str = "mushroom, not debris", **more: Any) -> ConceptAsk:
    return ConceptAsk(split_phrases(text), **more)


def run(finder: Any, wanted: ConceptAsk) -> tuple[Proposal, ...]:
    steps = list(finder.steps(image(), wanted))
    assert [step.is_last for step in steps] == [False] * (len(steps) - 1) + [True]
    assert all(0 <= step.done <= step.total for step in steps)
    assert steps[-1].proposals is not None
    return steps[-1].proposals


def test_every_model_for_words_is_found_loaded_and_answers(here: dict[str, Path]) -> None:
    ready = {offer.entry.name for offer in offers() if offer.is_ready}
    assert ready == {"sam3", "grounding-dino-tiny", "owlv2-base", "tinyclip"}
    for name in ready - {"tinyclip"}:
        finder: Any = load_named(name, "finder", device="cpu")
        assert finder.info.name == name
        for one in run(finder, ask()):
            assert one.phrase == "mushroom"
            assert 0 <= one.predicted_iou <= 1
            assert (one.mask.width, one.mask.height) == (120, 80)


def test_sam_3_gives_what_the_library_gives(here: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotator.engine.hf.sam3.LEAST_SCORE", 0.0)
    monkeypatch.setattr("annotator.domain.answering.named.SAME_IOU", 1.0)
    finder: Any = load_named("sam3", "finder", device="cpu")
    assert isinstance(finder, Sam3Finder)
    found = run(finder, ask("mushroom"))
    model = finder._model
    mask = finder._text("mushroom")[1]
    with torch.inference_mode():
        answer = model(
            pixel_values=finder._preprocessing.tensor(picture(), torch.device("cpu")),
            input_ids=finder._tokenizer(["mushroom"], padding="max_length", max_length=32, return_tensors="pt")[
                "input_ids"
            ],
            attention_mask=mask,
        )
    scores = (answer.pred_logits.sigmoid() * answer.presence_logits.sigmoid())[0].numpy()
    expected = sorted((float(s) for s, m in zip(scores, answer.pred_masks[0], strict=True) if (m > 0).any()))
    assert sorted(one.predicted_iou for one in found) == pytest.approx(expected, abs=1e-6)
    examples = (ExampleBox(Box(10, 10, 50, 50)), ExampleBox(Box(80, 40, 110, 70), is_positive=False))
    with_boxes = run(finder, ask("mushroom", examples=examples))
    assert [one.predicted_iou for one in with_boxes] != [one.predicted_iou for one in found]
    alone = run(finder, ConceptAsk(Phrases((), ("debris",)), examples))
    assert {one.phrase for one in alone} == {""}
    visual = run(finder, ask("visual", examples=examples))
    assert [one.predicted_iou for one in run(finder, ConceptAsk(Phrases(()), examples))] == [
        one.predicted_iou for one in visual
    ]


def test_words_of_any_length_and_kind_can_be_asked(here: dict[str, Path]) -> None:
    for name in ("sam3", "grounding-dino-tiny", "owlv2-base"):
        finder: Any = load_named(name, "finder", device="cpu")
        for text in (
            "x" * 10_000,
            "mushroom " * 300,
            "🍄\u202e<b>mushroom</b>\x00",
            "İ, ẞ",
            ", ".join("abcdefghijklmnopqr"),
        ):
            run(finder, ask(text))


def test_a_box_has_one_of_the_phrases_that_were_asked(here: dict[str, Path]) -> None:
    finder: Any = load_named("grounding-dino-tiny", "finder", device="cpu")
    detector = finder._detector
    assert isinstance(detector, GroundingDino)
    many = [f"word{at} red" for at in range(16)]
    groups = list(detector._sentences(many))
    assert [phrase for group in groups for phrase in group] == many
    assert len(groups) > 1, "a sentence that is too long is asked in several"
    torch.manual_seed(0)
    with torch.inference_mode():
        found = detector.boxes(picture(), many)
    assert found
    assert {one.phrase for one in found} <= set(many)


def test_herds_and_twins_are_left_out() -> None:
    small = [FoundBox(Box(x, 0, x + 8, 8), 0.5, "a") for x in (0, 10, 20)]
    herd = FoundBox(Box(0, 0, 30, 10), 0.9, "a")
    twin = FoundBox(Box(0, 0, 8, 8.5), 0.6, "b")
    assert best_boxes([*small, herd, twin]) == [twin, small[1], small[2]]


def test_boxes_prompt_the_model_in_use() -> None:
    class Two:
        model = None

        def boxes(self, _image: Any, phrases: Any) -> list[FoundBox]:
            return [FoundBox(Box(20, 20, 60, 60), 0.8, phrases[0]), FoundBox(Box(70, 10, 110, 50), 0.7, phrases[1])]

    found = run(BoxFinder(Two(), load_segmenter("grabcut").info), ask())
    assert [one.phrase for one in found] == ["mushroom"]
    assert found[0].mask.contains(40, 40)
    assert found[0].predicted_iou == pytest.approx(0.8 * 0.5)


def test_clip_names_one_of_the_classes_and_shows_the_object_twice(here: dict[str, Path]) -> None:
    namer: Any = load_named("tinyclip", "namer", device="cpu")
    assert isinstance(namer, ClipRanker)
    full = np.zeros((80, 120), np.bool_)
    full[70:, 100:] = True
    mask = Mask.from_full(full)
    guesses = namer.names(picture(), mask, ["mushroom", "stone {0}"])
    assert {guess.text for guess in guesses} == {"mushroom", "stone {0}"}
    assert guesses[0].score >= guesses[1].score > 0
    assert namer.names(picture(), mask, []) == ()
    plain, bare = crops_of(picture(), mask, 32)
    assert plain.shape == bare.shape == (32, 32, 3)
    assert (plain != bare).any()


def test_what_is_missing_is_said_before_anything_is_loaded(
    library: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))
    with pytest.raises(ModelError, match=r"No model for words .* sam3 \(3.4 GB, SAM License"):
        load_named("", "finder")
    weights.import_file(library["sam3"], name="sam3")
    with pytest.raises(ModelError, match=r"licence of sam3.* was not accepted yet.*models accept sam3"):
        load_named("sam3", "finder")
    terms.accept(weights.registry()["sam3"])
    monkeypatch.setattr("annotator.domain.budget.free_bytes", lambda: 1000)
    with pytest.raises(ModelError, match=r"sam3 needs \d+ MB of memory .* 1 MB are free"):
        load_named("sam3", "finder")


@pytest.mark.parametrize(
    "damage", ["cut", "garbage", "empty", "no weights", "no config", "other", "huge", "nan", "lacks"]
)
def test_damaged_folders_are_refused_in_a_sentence(damage: str, library: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from annotator.engine.hf.door import open_model

    place = tmp_path / "sam3"
    shutil.copytree(library["sam3"], place)
    path, config = place / "model.safetensors", place / "config.json"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "garbage":
        path.write_bytes(b"x" * 5000)
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "no weights":
        path.unlink()
    elif damage == "no config":
        config.unlink()
    elif damage == "other":
        config.write_text(config.read_text().replace('"model_type": "sam3"', '"model_type": "bert"'))
    elif damage == "huge":
        config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 900000', 1))
    else:
        state = load_file(path)
        name = sorted(state)[0]
        if damage == "nan":
            state[name] = torch.full_like(state[name], float("nan"))
        else:
            del state[name]
        save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"Copy|Choose"):
        open_model(place, "Sam3Model", model_types=("sam3",))


def test_the_shelf_keeps_the_model_and_gives_way(here: dict[str, Path]) -> None:
    loaded: list[str] = []

    def load(name: str, role: str, **more: Any) -> object:
        loaded.append(name)
        return load_named(name, role, device="cpu")

    shelf = FinderShelf(load)
    for _ in range(2):
        steps = list(shelf.steps("sam3", image(), ask(), has_to_yield=lambda: False, say=lambda _line: None))
        assert steps[-1].is_last
    assert loaded == ["sam3"]
    shelf.release()
    assert next(shelf.steps("sam3", image(), ask(), has_to_yield=lambda: False, say=print)).proposals is None
    assert loaded == ["sam3"], "loading waits for the second step"
