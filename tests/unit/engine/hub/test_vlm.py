"""A vision-language model from a folder as hubs have it: what it is shown, what it says, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from annotator.domain.errors import EncodeCancelled, ModelError
from annotator.domain.mask import Mask
from annotator.domain.naming import same_word
from annotator.domain.ports.naming import Description
from annotator.engine import weights
from annotator.engine.finders import load_named
from annotator.engine.hf.vlm import LONGEST_SIDE, VisionLanguage, outlined
from annotator.engine.namers import NamerShelf
from tests.unit.engine.hub.tiny_hub import picture
from tests.unit.engine.hub.tiny_vlm import WORDS, saved_qwen, saved_vlm


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_vlm(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))
    weights.import_file(folder, name="smolvlm-256m")


def disc() -> Mask:
    image = picture()
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return Mask.from_full((x - 40) ** 2 + (y - 40) ** 2 < 400)


@pytest.mark.usefixtures("here")
def test_it_describes_and_names_and_says_who_it_is() -> None:
    shelf = NamerShelf()
    said = shelf.describes(picture(), disc(), is_cancelled=lambda: False)
    assert set(said.text.split()) <= set(WORDS)
    assert said.text
    assert 0 < said.score <= 1
    assert (said.source, said.model, len(said.model_sha256)) == ("vlm", "smolvlm-256m", 64)
    assert shelf.describes(picture(), disc(), is_cancelled=lambda: False) == said
    (guess,) = shelf.names(picture(), disc(), ["stone", *(f"{word}s" for word in WORDS if word.isalpha())])
    assert (guess.source, guess.model) == ("vlm", "smolvlm-256m")
    shelf.release()
    assert shelf._describer is None


@pytest.mark.usefixtures("here")
def test_a_class_is_taken_in_any_form_and_a_line_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_named("", "describer")
    assert isinstance(loaded, VisionLanguage)
    for answer, name in (
        ("A Mushroom.\nSecond line", "mushrooms"),
        ("“cups”", "cup"),
        ("thing", "thing"),
        (" \n", None),
    ):
        monkeypatch.setattr(loaded._processor, "decode", lambda *_a, _answer=answer, **_k: _answer)
        found = loaded.names(picture(), disc(), ["mushrooms", "cup"])
        assert [one.text for one in found] == ([] if name is None else [name])
    monkeypatch.setattr(
        loaded._processor, "decode", lambda *_a, **_k: "\n a\u202e red\x00 <b>cup</b>\nmore" + "x" * 500
    )
    said = loaded.describes(picture(), disc(), is_cancelled=lambda: False)
    assert said == Description("a red <b>cup</b>", said.score, "vlm", "smolvlm-256m", loaded.info.sha256)


@pytest.mark.usefixtures("here")
def test_it_stops_between_words() -> None:
    loaded = load_named("", "describer")
    assert isinstance(loaded, VisionLanguage)
    asked = []

    def after_two() -> bool:
        asked.append(1)
        return len(asked) >= 2

    with pytest.raises(EncodeCancelled):
        loaded.describes(picture(), disc(), is_cancelled=after_two)
    assert len(asked) == 3  # two words, and once at the end


def test_it_is_shown_the_object_with_a_line_round_it() -> None:
    image = np.full((1200, 1600, 3), 90, np.uint8)
    mask = Mask.from_full(np.pad(np.ones((600, 900), bool), ((500, 100), (600, 100))))
    shown = outlined(image, mask)
    assert max(shown.shape[:2]) == LONGEST_SIDE
    red = (shown == (255, 40, 40)).all(2)
    assert red.any()
    assert not red[:8].any()
    assert (shown[~red] == 90).all()
    assert (image == 90).all()
    dot = outlined(picture(), Mask.from_full(np.eye(80, 120, dtype=bool)[:, :] & (np.arange(120) == 0)))
    assert min(dot.shape[:2]) >= 1


def test_a_model_without_a_template_and_another_one_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    (bare / "chat_template.json").write_text("{}")
    weights.import_file(bare, name="smolvlm-256m")
    with pytest.raises(ModelError, match="smolvlm-256m"):
        load_named("smolvlm-256m", "describer")
    config = json.loads((folder / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(ModelError):
        loaded_as(bare, "smolvlm-500m")


def loaded_as(folder: Path, name: str) -> object:
    weights.import_file(folder, name=name)
    return load_named(name, "describer")


def test_the_same_word_in_any_form() -> None:
    pairs = [("Cup", "cups"), ("berry", "Berries"), ("box", "boxes"), ("glass", "glasses"), ("bench", "benches")]
    assert all(same_word(*pair) for pair in pairs)
    assert not any(same_word(*pair) for pair in [("cup", "cap"), ("gas", "ga"), ("", "s")])


def test_a_model_of_another_class_in_two_files_answers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "models"))
    place = saved_qwen(tmp_path)
    weights.import_file(place, name="qwen2-vl-2b")
    shelf = NamerShelf()
    said = shelf.describes(picture(), disc(), is_cancelled=lambda: False)
    assert (said.source, said.model) == ("vlm", "qwen2-vl-2b")
    assert said.text
    assert 0 < said.score <= 1
    blank = np.full_like(picture(), 128)
    assert shelf.describes(blank, disc(), is_cancelled=lambda: False) != said  # it looks at the picture
    (guess,) = shelf.names(picture(), disc(), ["cup"])
    assert guess.model == "qwen2-vl-2b"
    shelf.release()
    (place / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(ModelError, match="model-00002-of-00002"):
        weights.import_file(place, name="qwen2-vl-2b")
    with pytest.raises(EncodeCancelled):
        NamerShelf().describes(picture(), disc(), is_cancelled=lambda: True)
