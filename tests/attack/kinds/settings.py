"""A settings file of any content: the program starts, and every value can be used."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from annotator.io.settings import SETTINGS, Settings
from tests.attack import damage
from tests.attack.guard import Guard


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """A settings file of any content: the program starts, and every value can be used."""
    path = work / "settings.toml"
    lines = []
    for setting in dice.sample(SETTINGS, dice.randint(1, len(SETTINGS))):
        lines.append(f"{setting.key} = {_toml(damage.any_value(dice), dice)}")
    data = "\n".join(lines).encode("utf-8", "replace")
    with guard.off():
        path.write_bytes(damage.damaged_bytes(data, dice) if dice.random() < 0.4 else data)
    found = guard.step("settings", lambda: Settings.load(path))
    if found is None:
        guard.find("no settings")
        return
    for setting in SETTINGS:
        value = found.get(setting.key)
        low, high = setting.minimum, setting.maximum
        if type(value) is not type(setting.default):
            guard.find(f"{setting.key} is {value!r:.80}")
        elif isinstance(value, int | float) and low is not None and high is not None and not low <= value <= high:
            guard.find(f"{setting.key} is {value!r}")
    guard.step("save", lambda: found.set("author", "me"))
    guard.step("folder", lambda: found.remember_folder(str(work)))
    if guard.step("settings again", lambda: Settings.load(path)) is None:
        guard.find("no settings after they were saved")


def _toml(value: Any, dice: random.Random, depth: int = 0) -> str:
    if depth > 200:
        return "[]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return dice.choice((str(value), "inf", "-inf", "nan", "1e400", "9" * 400))
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item, dice, depth + 1) for item in value[:2000]) + "]"
    return dice.choice(("{}", "1979-05-27", "[[[[]]]]", "{a = {b = {c = 1}}}"))
