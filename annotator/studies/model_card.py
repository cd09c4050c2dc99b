"""Writes the model card of a trained embedded model from what its run and its evaluations left behind.

No figure is typed: the recipe is the state's, the tables are those of ``annotator compare``. What only people know, its
known failures, is a text that ``--failures`` names. A mean of several models' weights names the states of all of them:

    python -m annotator.studies.model_card nano-3.safetensors --state nano-3.state --ours nano-3.json \\
        --other nano-2.json
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from annotator.engine.sam2.nano import NanoConfig, count_parameters, load_nano
from annotator.engine.weights import sha256_of
from annotator.evaluate.compare import Evaluation, calibration, compare, markdown, mean_noc, read_evaluation
from annotator.files.atomic import write_atomic
from annotator.studies.click_curve import table as click_table
from annotator.train.run.run import read_state, readable_state
from annotator.train.settings import TrainSettings

_OPTIONS = {"objects_per_window": "--objects", "learning_rate": "--lr", "synthetic_share": "--synthetic"}
_SHAPE_OPTIONS = {"image_size": "--size", "channels": "--channels"}
_NOT_IN_COMMAND = {
    *("minutes", "stages", "seed", "set_factors", "teacher_sha256"),
    *("state_minutes", "export_minutes", "validate_minutes", "zoom_margin"),
}


def command_of(state: Mapping[str, Any]) -> str:
    """The command that repeats a run, from its state: what differs from the defaults, sets by name."""
    settings, config = state["settings"], state["config"]
    minutes = min(settings["minutes"], state["seconds"] / 60)
    words = ["annotator", "train-base", *(str(name) for name, _ in state.get("sets", ()))]
    words += ["--minutes", f"{minutes:.0f}", "--seed", str(settings["seed"]), "--stages"]
    words.append(",".join(f"{s['share']:g}:{s['side_px']}:{s['batch']}" for s in settings["stages"]))
    for name, factor in settings.get("set_factors", ()):
        words += ["--more", f"{name}={factor:g}"]
    usual = {**asdict(TrainSettings()), **asdict(NanoConfig())}
    for name, value in {**settings, **config}.items():
        if name in _NOT_IN_COMMAND or name not in usual or _plain(value) == _plain(usual[name]):
            continue
        option = _OPTIONS.get(name) or _SHAPE_OPTIONS.get(name)
        words += [option, _shown(value)] if option else ["--set", f"{name}={_shown(value)}"]
    return shlex.join(words)


def card(
    weights: Path,
    states: Sequence[Mapping[str, Any]],
    ours: Evaluation,
    other: Evaluation | None,
    *,
    origin: str,
    failures: str = "",
) -> str:
    """The card in Markdown.

    Args:
        states: of the run that wrote the weights, or of those whose mean they are, one after the other.
        origin: what the weights began with, where their file does not say it.
        failures: what people know, Markdown.

    Raises:
        ModelError: the file is no embedded model. ImportFormatError: the evaluations share no objects.
    """
    model, config, metadata = load_nano(weights)
    names = metadata.get("sets", "").split(",")
    lines = [
        f"# Model card: {weights.stem}",
        "",
        f"- **Architecture**: SAM 2's prompt encoder and mask decoder ({config.channels} channels) on the trunk"
        f" `{config.trunk}`, {config.image_size} px input, {count_parameters(model) / 1e6:.1f} M parameters, fp16,"
        f" {weights.stat().st_size / 1e6:.1f} MB. Prompts are drawn into the dense prompt (`{config.dense_prompt}`).",
        f"- **File**: SHA-256 {sha256_of(weights)}",
        f"- **Began with**: {origin or metadata.get('origin') or 'random numbers'}",
        f"- **Data**: {len(names)} sets ([DATA.md](DATA.md)): {', '.join(names)}",
        *_trainings(states, metadata),
        f"- **Licence of the weights**: {metadata.get('licence', 'not stated')}",
        "",
        f"## Dev sets{'' if other is None else f', {ours.model} / {other.model}'}",
        "",
        markdown(compare(ours, other), ours=ours.model, other=None if other is None else other.model),
    ]
    for evaluation in (ours, other):
        if evaluation is not None:
            counts = ", ".join(f"NoC@{p} {mean_noc(evaluation, p / 100).mean:.2f}" for p in (80, 85, 90))
            lines += ["", f"{evaluation.model}, clicks needed (cap {evaluation.clicks}): {counts}"]
            found = ", ".join(f"{name} {value:.2f}" for name, value in calibration(evaluation).items())
            lines += [f"Rank correlation of predicted and true IoU: {found or 'nothing is predicted'}."]
    both = [ours] if other is None else [ours, other]
    lines += [
        "",
        "## Over the clicks",
        "",
        "IoU after so many clicks, every set counting the same; *falls* is the sum of all steps down, of an object.",
        "",
        click_table(both),
        "",
        *_known_failures(failures),
    ]
    return "\n".join(lines) + "\n"


def _trainings(states: Sequence[Mapping[str, Any]], metadata: Mapping[str, str]) -> list[str]:
    """A line for every run, and what the weights are the mean of."""
    lines = [
        f"- **Training**: {state['step']} steps, {state['seconds'] / 60:.1f} minutes on {metadata.get('device', '?')}:"
        f" `{command_of(state)}`"
        for state in states
    ]
    return lines + ([f"- **Mean of the weights of**: {metadata['mean_of']}"] if "mean_of" in metadata else [])


def _known_failures(text: str) -> list[str]:
    return ["## Known failures", "", text.strip()] if text else []


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--state", type=Path, required=True, nargs="+", help="of the run, or runs, that wrote them")
    parser.add_argument("--ours", type=Path, required=True, help="a JSON of annotator evaluate")
    parser.add_argument("--other", type=Path, help="another model's, over the same objects")
    parser.add_argument("--origin", default="", help="what the weights began with, and its licence")
    parser.add_argument("--failures", type=Path, help="a text (Markdown) of what is known to fail")
    parser.add_argument("--out", type=Path, help="default: beside the weights, .md")
    args = parser.parse_args(arguments)
    states = []
    for path in args.state:
        with readable_state(path, advice="Name the state of the run that wrote the weights."):
            states.append(read_state(path, mapped=True))
            command_of(states[-1])
    other = None if args.other is None else read_evaluation(args.other)
    failures = "" if args.failures is None else args.failures.read_text(encoding="utf-8")
    text = card(args.weights, states, read_evaluation(args.ours), other, origin=args.origin, failures=failures)
    out = args.out or args.weights.with_suffix(".md")
    write_atomic(out, text.encode())
    print(f"wrote {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
