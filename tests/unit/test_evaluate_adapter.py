"""``annotator evaluate --adapter`` and ``--dataset hqseg44k`` from the command line, on a small model."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from annotator import cli
from annotator.commands.adapter_option import model_for
from annotator.domain.adapter import AdapterInfo
from annotator.domain.errors import ModelError
from annotator.engine import weights
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.adapter_files import adapters_dir, list_adapters, load_adapter, save_adapter
from annotator.engine.sam2.adapter_network import AdapterConfig, PromptAdapter
from annotator.engine.sam2.nano import build_nano, save_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.evaluate.progress import adapter_digest
from annotator.evaluate.run import evaluate_coco
from tests.small_base import SMALL
from tests.unit.train.hq_scenes import write_hq
from tests.unit.train.scenes import write_set


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.safetensors"
    torch.manual_seed(0)
    save_nano(build_nano(SMALL).eval(), path, config=SMALL, metadata={})
    return path


def write_adapter(path: Path, base_sha256: str, *, seed: int) -> Path:
    """Random weights and open gates: it answers otherwise than its base."""
    config = AdapterConfig(SMALL.channels)
    torch.manual_seed(seed)
    network = PromptAdapter(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    info = AdapterInfo(path.stem, "tests", "base", base_sha256, asdict(config))
    save_adapter(network, info, path)
    return path


@pytest.fixture
def adapter(base: Path) -> Path:
    sha256 = load_segmenter(str(base), device="cpu").info.sha256
    return write_adapter(adapters_dir() / "cells.safetensors", sha256, seed=1)


def test_an_adapter_brings_its_model_along_where_none_is_named(adapter: Path) -> None:
    """The best model is another one than that of the adapters that ship."""
    assert weights.default_model().name != "nano"
    assert model_for(None, "nuclei") == "nano"
    assert model_for("nano-3", "nuclei") == "nano-3", "what is named is taken, and the adapter refused"
    assert model_for(None, None) is None
    assert model_for(None, "cells") is None, "its model is none of the registry"
    with pytest.raises(ModelError, match="no adapter"):
        model_for(None, "absent")


@pytest.fixture
def coco_words(base: Path, tmp_path: Path) -> list[str]:
    root = write_set(tmp_path / "cells", images=2)
    paths = ["--coco", str(root / "annotations.json"), "--images", str(root / "images")]
    return ["evaluate", *paths, "--model", str(base), "--device", "cpu", "--clicks", "2"]


@pytest.fixture
def hq_words(base: Path, tmp_path: Path) -> list[str]:
    root = write_hq(tmp_path / "data", sets=("DIS", "HRSOD"))
    return ["evaluate", "--dataset", "hqseg44k", "--root", str(root), "--model", str(base), "--device", "cpu"]


@pytest.fixture
def encodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for every image of a set that is encoded (64 digits of its key), not for the probe of the processor."""
    found: list[int] = []
    real = Sam2Segmenter.encode

    def encode(self: Sam2Segmenter, image: Any, image_key: str, **options: Any) -> Any:
        found.extend([1] if len(image_key) == 64 else [])
        return real(self, image, image_key, **options)

    monkeypatch.setattr(Sam2Segmenter, "encode", encode)
    return found


Figures = Callable[..., dict[str, Any]]


@pytest.fixture
def figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Figures:
    """Run a command with ``--json`` and read what it wrote."""

    def run(words: list[str], *more: str) -> dict[str, Any]:
        out = tmp_path / "out.json"
        assert cli.main([*words, *more, "--json", str(out)]) == 0, capsys.readouterr().err
        found: dict[str, Any] = json.loads(out.read_text())
        return found

    return run


# --- COCO sets --------------------------------------------------------------------------------------------------------


def test_a_coco_set_is_judged_with_the_adapter(coco_words: list[str], adapter: Path, figures: Figures) -> None:
    plain, by_name = figures(coco_words), figures(coco_words, "--adapter", "cells")
    by_file = figures(coco_words, "--adapter", str(adapter))
    assert (plain["model"], by_name["model"]) == ("base", "base + cells")
    keys = ("miou", "mbiou", "box_miou", "box_mbiou")
    assert [by_name[key] for key in keys] == [by_file[key] for key in keys]
    assert [by_name[key] for key in keys] != [plain[key] for key in keys]


def test_what_the_command_finds_is_what_the_engine_says(
    coco_words: list[str], base: Path, adapter: Path, tmp_path: Path, figures: Figures
) -> None:
    segmenter = load_segmenter(str(base), device="cpu")
    segmenter.set_adapter(load_adapter(adapter, base=segmenter.info))
    root = tmp_path / "cells"
    expected = evaluate_coco(segmenter, root / "annotations.json", root / "images", clicks=2)
    assert figures(coco_words, "--adapter", "cells")["box_mbiou"] == pytest.approx(expected.box_mbiou)


def test_the_state_belongs_to_the_adapter(
    coco_words: list[str], adapter: Path, base: Path, tmp_path: Path, encodes: list[int]
) -> None:
    state = tmp_path / "run.state"
    sha256 = load_segmenter(str(base), device="cpu").info.sha256
    other = write_adapter(tmp_path / "cells.safetensors", sha256, seed=2)  # the same name, other weights
    renamed = tmp_path / "renamed.safetensors"
    renamed.write_bytes(adapter.read_bytes())
    counts = []
    for more in ((), ("cells",), (str(other),), (), ("cells",), (str(renamed),)):
        encodes.clear()
        words = [*coco_words, "--resume", str(state), *(("--adapter", *more) if more else ())]
        assert cli.main(words) == 0
        counts.append(bool(encodes))
    assert counts == [True, True, True, False, False, False]
    assert len(state.read_text().splitlines()) == 3 * 4


def test_digests_tell_weights_apart_and_not_names(tmp_path: Path) -> None:
    paths = [write_adapter(tmp_path / f"{n}.safetensors", "a" * 64, seed=seed) for n, seed in (("a", 1), ("b", 1))]
    other = write_adapter(tmp_path / "c.safetensors", "a" * 64, seed=2)
    first, second, third = (adapter_digest(load_adapter(path)) for path in (*paths, other))
    assert first == second != third


@pytest.mark.parametrize("kind", ["coco", "hqseg44k"])
def test_adapters_that_cannot_be_used_are_one_line(
    kind: str, coco_words: list[str], hq_words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = coco_words if kind == "coco" else hq_words
    foreign = write_adapter(tmp_path / "foreign.safetensors", "b" * 64, seed=1)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not an adapter")
    known = ", ".join(path.stem for path, _ in list_adapters())
    assert "animals-3" in known
    for given, said in (
        (str(foreign), "The adapter foreign belongs to base (bbbbbbbbbbbb), but base ("),
        (str(damaged), "damaged.safetensors is not a readable"),
        (str(tmp_path / "none.safetensors"), "There is no adapter file"),
        ("none", f"There is no adapter 'none'. Known: {known}."),
    ):
        assert cli.main([*words, "--adapter", given]) == 2
        told = capsys.readouterr().err.strip().splitlines()
        assert len([line for line in told if line.startswith("annotator: ")]) == 1
        assert said in told[-1]
    assert cli.main([*words[: words.index("--model")], "--engine", "grabcut", "--adapter", str(foreign)]) == 2
    assert "GrabCut has no models" in capsys.readouterr().err


# --- the papers' sets -------------------------------------------------------------------------------------------------


def test_the_table_holds_model_adapter_and_published_rows(
    hq_words: list[str], adapter: Path, tmp_path: Path, encodes: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    assert cli.main([*hq_words, "--adapter", "cells", "--json", str(out)]) == 0
    assert len(encodes) == 4  # base and adapter answer on one embedding
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split("  ")[0] for line in lines[:7]] == [
        "mIoU / mBIoU, %",
        "images",
        "base",
        "base + cells",
        "SAM ViT-L (published)",
        "HQ-SAM ViT-L (published)",
        "PA-SAM ViT-L (published)",
    ]
    data = json.loads(out.read_text())
    dis = data["sets"]["DIS"]
    assert f"{100 * dis['miou']:.1f} / {100 * dis['mbiou']:.1f}" in lines[2]
    assert f"{100 * dis['adapter_miou']:.1f} / {100 * dis['adapter_mbiou']:.1f}" in lines[3]
    assert dis["adapter_miou"] != dis["miou"]
    assert (data["model"], data["adapter"]) == ("base", "cells")
    assert data["published"][2]["figures"]["average"] == [91.2, 84.5]
    assert "left out: COIFT: there is no folder" in captured.err
    assert "4/4" in captured.err
    assert not (tmp_path / "out.json.state").exists()

    assert cli.main([*hq_words, "--json", str(out)]) == 0  # the base is the same with and without an adapter beside it
    alone = json.loads(out.read_text())
    assert [item["biou"] for item in alone["per_image"]] == [item["biou"] for item in data["per_image"]]
    assert alone["sets"]["DIS"]["adapter_miou"] is None
    assert "base + cells" not in capsys.readouterr().out


def test_an_interrupted_run_of_the_papers_sets_goes_on(
    hq_words: list[str], adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encodes: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = [*hq_words, "--adapter", "cells", "--json", str(tmp_path / "out.json")]
    state = tmp_path / "out.json.state"
    real = Sam2Segmenter.encode

    def dying(self: Sam2Segmenter, *args: Any, **options: Any) -> Any:
        if len(encodes) == 2:
            raise KeyboardInterrupt
        return real(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Sam2Segmenter, "encode", dying)
        assert cli.main(words) == 130
    assert f"finished objects are kept in {state}; the same command goes on" in capsys.readouterr().err
    assert len(state.read_text().splitlines()) == 2
    encodes.clear()
    assert cli.main(words) == 0
    assert len(encodes) == 2
    assert not state.exists()


def test_a_part_of_the_sets(hq_words: list[str], figures: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    data = figures(hq_words, "--max-objects", "1")
    assert [found["images"] for found in data["sets"].values()] == [1, 1]
    assert "at most 1 images of each" in capsys.readouterr().out


def test_many_missing_masks_are_not_a_flood(
    hq_words: list[str], tmp_path: Path, figures: Figures, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "DIS5K" / "DIS-VD" / "im"
    for number in range(20):
        (folder / f"more_{number}.jpg").write_bytes((folder / "dis_1.jpg").read_bytes())
    data = figures(hq_words)
    assert len(data["left_out"]) == 22
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("left out")]
    assert len(told) == 6
    assert told[-1] == "left out: 17 more (--json names them all)"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to evaluate on. Give --coco and --images, or --dataset and --root."),
        (["--coco", "a.json"], "nothing to evaluate on"),
        (["--root", "."], "--root goes with --dataset"),
        (["--dataset", "hqseg44k"], "needs --root"),
        (["--dataset", "hqseg44k", "--root", ".", "--coco", "a.json"], "--coco: not with --dataset"),
        (["--dataset", "hqseg44k", "--root", ".", "--clicks", "3"], "--clicks: not with --dataset"),
        (["--dataset", "hqseg44k", "--root", ".", "--jitter", "0.1", "--degrade", "blur"], "--degrade, --jitter: not"),
        (["--dataset", "hqseg44k", "--root", "nowhere"], "nowhere holds none of the four sets"),
        (["--dataset", "hqseg44k", "--root", ".", "--json", "nowhere/out.json"], "no folder"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["evaluate", *words]) == 2
    (told,) = capsys.readouterr().err.strip().splitlines()
    assert said in told
