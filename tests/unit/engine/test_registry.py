"""Families of models are rows: our own, and those of installed packages."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from annotator import plugins
from annotator.cli import main
from annotator.domain.errors import ModelError
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine import registry, weights
from annotator.engine.grabcut import GrabCutSegmenter
from annotator.engine.load import load_sam2_segmenter, load_segmenter, make_engine
from annotator.engine.registry import FAMILIES, FamilySpec, ModelEntry, ModelSource

OTHER = FamilySpec(
    "disc",
    "Discs",
    "annotator.engine.grabcut:load",
    (".disc",),
    models=(ModelEntry("disc-1", "disc", "", "none", rank=-5),),
)


def source(path: Path | None, entry: ModelEntry | None = None) -> ModelSource:
    return ModelSource(path, entry, False, "", "", None, None, print)


@pytest.fixture
def with_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a package with an entry point of the group is installed."""
    monkeypatch.setattr(plugins, "load_all", lambda group: {"disc": OTHER} if group == "annotator.engines" else {})


def test_every_loader_is_there_and_every_kind_of_the_models_file_has_a_family() -> None:
    for family in FAMILIES:
        targets = [target for target in (family.loader, family.finder, family.namer) if target]
        assert targets, family.kind
        assert all(callable(plugins.load_target(target)) for target in targets), family.kind
    assert {entry.kind for entry in weights.registry().values()} == {family.kind for family in FAMILIES}


def test_no_two_families_take_the_same_files() -> None:
    suffixes = [suffix for family in FAMILIES for suffix in family.suffixes]
    for family in FAMILIES:
        assert family.mark or all(suffixes.count(suffix) == 1 for suffix in family.suffixes), family.kind
    marks = [family.mark for family in FAMILIES if family.mark]
    assert len(marks) == len(set(marks))


def test_a_model_without_weights_is_one_of_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "grabcut" in line)
    assert line.split()[:5] == ["*", "grabcut", "needs", "no", "weights"]
    engine = make_engine(model="grabcut", disk_bytes=None)
    assert isinstance(engine.segmenter, GrabCutSegmenter)
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:40, 30:60] = 200
    embedding = engine.segmenter.encode(image, "k")
    engine.cache.put(embedding)
    assert engine.cache.get(embedding.key) is embedding
    assert engine.segmenter.decode(embedding, Prompts((PointPrompt(45, 30),))).chosen.mask.contains(45, 30)


def test_what_works_on_sam2_alone_refuses_other_families() -> None:
    with pytest.raises(ModelError, match="cannot use an adapter"):
        load_sam2_segmenter("grabcut")


def test_a_model_below_rank_nought_is_never_taken_by_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "shipped_dir", lambda: tmp_path)
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path))
    (tmp_path / "registry.toml").write_text("")
    assert [status.name for status in weights.list_models() if status.is_present] == ["grabcut"]
    with pytest.raises(ModelError, match="No model is installed"):
        weights.default_model()


@pytest.mark.usefixtures("with_other")
def test_a_familys_own_models_and_files_are_found(tmp_path: Path) -> None:
    assert "disc-1" in weights.registry()
    assert isinstance(load_segmenter("disc-1"), GrabCutSegmenter)
    path = tmp_path / "mine.DISC"
    path.write_bytes(b"")
    assert isinstance(load_segmenter(str(path)), GrabCutSegmenter)


def test_files_of_no_family_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"mine\.onnx .* Known: \.safetensors, \.pt"):
        load_segmenter(str(path))


def test_a_row_of_a_kind_that_is_not_installed_says_so() -> None:
    with pytest.raises(ModelError, match="far needs an engine of kind distant, which is not installed"):
        registry.family_of(source(None, ModelEntry("far", "distant", "", "none", rank=0)))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.mark], ids=lambda family: family.kind)
def test_of_families_with_the_same_suffix_the_names_of_tensors_decide(tmp_path: Path, family: FamilySpec) -> None:
    path = tmp_path / f"w{family.suffixes[0]}"
    path.write_bytes(b"\0" * 5000 + family.mark.encode() + b"\0" * 5000)
    assert registry.family_of(source(path)) is family


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"w\.pth cannot be read: .*Check its permissions"):
        registry.family_of(source(tmp_path / "w.pth"))


@pytest.mark.parametrize("config", ["[" * 90_000, '{"model_type": "sam", "more": "' + "x" * (1 << 20) + '"}'])
def test_a_description_that_is_too_deep_or_too_large_is_none(tmp_path: Path, config: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"holds no model that is known here.*known model types: .*sam"):
        registry.family_of(source(tmp_path))


def test_a_folder_whose_description_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ModelError, match=r"config\.json cannot be read: .*Check its permissions"):
        registry.family_of(source(tmp_path))


def test_our_own_kinds_cannot_be_taken_over(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    rival = FamilySpec("nano", "Rival", "os:remove")
    monkeypatch.setattr(plugins, "load_all", lambda _group: {"rival": rival, "odd": 5})
    with caplog.at_level(logging.WARNING):
        assert registry.families()["nano"] is FAMILIES[0]
    assert [record.message for record in caplog.records] == [
        "the engine rival is left out: the kind nano is taken",
        "the engine odd is left out: it is not a FamilySpec",
    ]


def test_the_registry_needs_no_torch() -> None:
    code = "import sys, annotator.engine.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
