"""A model card is made of what a run and its evaluations left: with the command that repeats it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from annotator import cli
from annotator.commands.train import base
from annotator.engine.weights import sha256_of
from annotator.studies import weight_mean
from annotator.studies.model_card import command_of, main
from annotator.train.base import BaseTrainer
from annotator.train.data.windows import read_coco_sets
from annotator.train.run.base_run import export, set_digests, state_of
from annotator.train.run.state_file import write_state
from annotator.train.settings import Stage
from tests.unit.train.scenes import write_set
from tests.unit.train.test_base import CPU, SETTINGS, TINY


def evaluation(path: Path, model: str, box: float) -> Path:
    objects = [
        {
            "annotation_id": n,
            "image": f"{n}.png",
            "area": 50,
            "box_iou": box,
            "box_biou": 0.5,
            "iou": [0.4],
            "biou": [0.3],
        }
        for n in range(3)
    ]
    path.write_text(json.dumps({"model": model, "sets": {"cells": {"per_object": objects}}}), "utf-8")
    return path


def test_a_card_has_the_runs_recipe_and_the_measured_figures(tmp_path: Path, monkeypatch: Any) -> None:
    root = write_set(tmp_path / "cells")
    settings = replace(
        SETTINGS, stages=(Stage(1.0, 64, 2),), mask_share=0.25, set_factors=(("cells", 2.0),), round_shares=(0.5, 0.5)
    )
    trainer = BaseTrainer(config=TINY, settings=settings, images=read_coco_sets([root]), device=CPU)
    trainer.seconds = 300.0
    weights = tmp_path / "nano-9.safetensors"
    export(trainer, weights)
    write_state(state_of(trainer, sets=set_digests([root])), tmp_path / "run.state")
    ours, other = evaluation(tmp_path / "a.json", "nano-9", 0.75), evaluation(tmp_path / "b.json", "nano-8", 0.5)
    words = [str(weights), "--state", str(tmp_path / "run.state"), "--ours", str(ours), "--other", str(other)]
    (tmp_path / "failures.md").write_text("- Antlers lose their ends.\n")
    more = ["--origin", "the weights of nano-8", "--failures", str(tmp_path / "failures.md")]
    assert main([*words, *more]) == 0
    text = weights.with_suffix(".md").read_text("utf-8")
    for said in (sha256_of(weights), "the weights of nano-8", "**0.750** / 0.500", "0 steps, 5.0 minutes", "cells"):
        assert said in text
    assert "## Over the clicks" in text
    assert "| nano-9 | 0.400 | 0.000 | 0% |" in text
    assert text.endswith("## Known failures\n\n- Antlers lose their ends.\n")

    command = command_of(torch.load(tmp_path / "run.state", weights_only=True))
    assert f"`{command}`" in text
    # What it says is this run: the state takes it.
    given: list[Any] = []
    monkeypatch.setattr(base, "run", lambda args: given.append(args) or 0)
    monkeypatch.chdir(tmp_path)
    assert cli.main([*shlex.split(command)[1:], "--out", "nano-9.safetensors"]) == 0
    repeated, config = base._recipe(given[0])
    assert config == TINY
    assert repeated == replace(settings, validate_minutes=repeated.validate_minutes)


def test_a_card_of_a_mean_has_every_run_and_its_share(tmp_path: Path) -> None:
    root = write_set(tmp_path / "cells")
    states, files = [], []
    for seed in (4, 5):
        trainer = BaseTrainer(
            config=TINY, settings=replace(SETTINGS, seed=seed), images=read_coco_sets([root]), device=CPU
        )
        trainer.seconds = 60.0 * seed
        files.append(str(tmp_path / f"{seed}.safetensors"))
        states.append(str(tmp_path / f"{seed}.state"))
        export(trainer, Path(files[-1]))
        write_state(state_of(trainer, sets=set_digests([root])), Path(states[-1]))
    weights = tmp_path / "nano-9.safetensors"
    assert weight_mean.main([*files, "--shares", "1,3", "--out", str(weights)]) == 0
    ours = evaluation(tmp_path / "a.json", "nano-9", 0.75)
    assert main([str(weights), "--state", *states, "--ours", str(ours)]) == 0
    text = weights.with_suffix(".md").read_text("utf-8")
    for said in ("4.0 minutes", "5.0 minutes", "--seed 4", "--seed 5", "Mean of the weights", "share=3"):
        assert said in text
    assert sha256_of(Path(files[1])) in text
