"""The recipe of ``annotator train-base`` as it is written on a command line, and whether a run can go on with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from annotator.domain.brevity import brief

if TYPE_CHECKING:
    from annotator.domain.errors import UserError
    from annotator.engine.sam2.nano import NanoConfig
    from annotator.train.run.base_run import SetDigests
    from annotator.train.settings import Stage, TrainSettings

RECIPE_FIELDS = (
    "schedule",
    "warmup_steps",
    "weight_decay",
    "ema_decay",
    "cross_entropy_weight",
    "focal_weight",
    "dice_weight",
    "edge_weight",
    "box_share",
    "round_shares",
    "late_share",
    "late_round_shares",
    "deepest_share",
    "mask_share",
    "trunk_rate",
    "frozen_share",
    "pasted_share",
    "grey_share",
    "grey_window_share",
    "hard_sets",
    "teacher_weight",
    "trunk",
    "stage_channels",
    "stage_blocks",
    "mlp_channels",
    "dense_prompt",
)
_OPTION_FIELDS = {
    "seed": "--seed",
    "learning_rate": "--lr",
    "objects_per_window": "--objects",
    "synthetic_share": "--synthetic",
    "set_factors": "--more",
}
"""Settings with an option of their own that a run keeps to the end. How long it is and its stages may change."""
_FIXED_FIELDS = ("trunk_rate", "teacher_sha256")
"""What no run changes: the state of its optimiser is made for it."""
_SHAPE_FIELDS = ("image_size", "channels", "trunk", "stage_channels", "stage_blocks", "mlp_channels", "dense_prompt")


def parse_stages(text: str) -> tuple[Stage, ...]:
    """``share:side:batch`` triples with commas between them.

    Raises:
        UserError: not that form, or a side that is no multiple of 32.
    """
    from annotator.domain.errors import UserError
    from annotator.train.settings import Stage

    stages = []
    for part in text.split(","):
        try:
            share, side, batch = part.split(":")
            stage = Stage(float(share), int(side), int(batch))
        except ValueError as error:
            raise UserError(
                f"--stages: {brief(part)!r} is not share:side:batch.", "Example: 0.6:160:16,0.4:320:10"
            ) from error
        if stage.share <= 0 or stage.side_px < 64 or stage.side_px % 32 or stage.batch < 2:
            raise UserError(
                f"--stages: {brief(part)!r} needs a share above 0, a side that 32 divides, 2 windows or more."
            )
        stages.append(stage)
    return tuple(stages)


def parse_recipe(pairs: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as values of the types that the recipe has.

    Raises:
        UserError: an unknown name, or a value that makes no training.
    """
    from annotator.domain.errors import UserError
    from annotator.engine.sam2.dense_prompt import KINDS
    from annotator.engine.sam2.nano import TRUNKS, NanoConfig
    from annotator.train.settings import SCHEDULES, TrainSettings

    defaults = {**asdict(TrainSettings()), **asdict(NanoConfig())}
    words = {"schedule": SCHEDULES, "dense_prompt": KINDS, "trunk": TRUNKS}
    found: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in RECIPE_FIELDS:
            raise UserError(f"--set: there is no {brief(name)!r} to set.", f"There are {', '.join(RECIPE_FIELDS)}.")
        kind = type(defaults[name])
        try:
            if name in words:
                value: Any = text
                is_good = text in words[name]
            elif kind is tuple:
                number = type(defaults[name][0])
                value = tuple(number(part) for part in text.split(","))
                is_good = all(0 <= part < math.inf for part in value)
            else:
                value = kind(text)
                is_good = 0 <= value < math.inf
        except ValueError:
            is_good = False
        if is_good and name in ("stage_channels", "stage_blocks"):
            is_good = len(value) == 4 and min(value) > 0
        elif is_good and name.endswith("round_shares"):
            is_good = math.isclose(sum(value), 1.0, abs_tol=1e-6)
        elif is_good and (name.endswith("_share") or name == "ema_decay"):
            is_good = value <= 1
        elif is_good and name in ("warmup_steps", "mlp_channels"):
            is_good = value > 0
        if not is_good:
            default = f"The default is {_shown(defaults[name])}."
            raise UserError(f"--set: {brief(pair)!r} is not a value for {brief(name)}.", default)
        found[name] = value
    return found


def parse_factors(pairs: Sequence[str]) -> tuple[tuple[str, float], ...]:
    """``SET=FACTOR`` texts, sorted by name.

    Raises:
        UserError: not that form, or no factor above 0.
    """
    from annotator.domain.errors import UserError

    found = {}
    for pair in pairs:
        name, _, text = pair.rpartition("=")
        try:
            factor = float(text)
        except ValueError:
            factor = 0.0
        if not name or not 0 < factor < math.inf:
            raise UserError(f"--more: {brief(pair)!r} is not SET=FACTOR.", "Example: --more coco_people=2")
        found[name] = factor
    return tuple(sorted(found.items()))


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def check_state(
    path: Path,
    config: NanoConfig,
    settings: TrainSettings,
    sets: SetDigests | None = None,
    *,
    is_changed: bool = False,
) -> None:
    """See that a run can go on from the state, before anything is read or trained.

    Args:
        sets: names and digests of what would be trained on; None to leave them alone. A state from before they were
            kept may go on with any.
        is_changed: whether the recipe may be another one from here on.

    Raises:
        UserError: the file is damaged, no training state, or that of a model of another shape or of another training.
    """
    from annotator.domain.errors import UserError
    from annotator.train.run.run import read_state, readable_state

    with readable_state(path, advice="Move it away, or name another one with --state."):
        state = read_state(path, mapped=True)
        kept = {**asdict(type(config)()), **state["config"]}
        shape = [name for name in _SHAPE_FIELDS if not (is_changed and name == "image_size")]  # no weight depends on it
        differing = [name for name in shape if _plain(kept[name]) != _plain(getattr(config, name))]
        # States from before a number could be set do not hold it: it was what is the default now.
        recipe, wanted = {**asdict(type(settings)()), **state["settings"]}, asdict(settings)
        all_fields = ("teacher_sha256", *_OPTION_FIELDS, *RECIPE_FIELDS)
        compared = [n for n in (_FIXED_FIELDS if is_changed else all_fields) if n in wanted]
        other = [n for n in compared if _plain(recipe[n]) != _plain(wanted[n])]
        kept_sets = {(str(name), str(digest)) for name, digest in state.get("sets", sets or ())}
    if differing:
        name = differing[0]
        raise UserError(
            f"{brief(path)} is the state of another model: its {brief(name)} is {kept[name]}, here "
            f"{getattr(config, name)}.",
            "Give the same --size, --channels and --set, or another --state to start anew"
            + (", or --change-recipe." if name == "image_size" else "."),
        )
    if other:
        raise _another_recipe(path, other[0], recipe, wanted)
    if sets is not None and kept_sets != set(sets):
        name = min(kept_sets ^ set(sets))[0]
        raise UserError(
            f"{brief(path)} was trained on other sets, or their annotations have changed since ({brief(name)}).",
            "Give the same sets, or another --state to start anew.",
        )


def _another_recipe(path: Path, name: str, kept: Mapping[str, Any], wanted: Mapping[str, Any]) -> UserError:
    from annotator.domain.errors import UserError

    if name == "teacher_sha256":
        said = f"{path} was trained with another teacher, or with none where there is one now."
        return UserError(said, "Give the same --teacher, or another --state to start anew.")
    return UserError(
        f"{brief(path)} was trained with {brief(name)}={_shown(kept[name])}, not {_shown(wanted[name])}.",
        f"Give the same {_OPTION_FIELDS.get(name, '--set')}, or another --state to start anew"
        + ("." if name in _FIXED_FIELDS else ", or --change-recipe."),
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
