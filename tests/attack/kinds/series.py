"""Stacks and volumes with damage in heads and pixels, taken in as series: opened, walked through, exported."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pydicom

from tests import fuzz_images
from tests.attack import damage, victims
from tests.attack.guard import Guard

_FILES = ("dicom-frames", "nifti", "nifti-gz", "nrrd", "tiff", "gif", "apng")
_NUMBERS = (0.0, -1.0, 1e-300, 1e300, float("inf"), float("nan"), 1.0)


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """A folder of slices and of files of several frames."""
    folder = work / "set"
    with guard.off():
        folder.mkdir()
        for number in range(dice.randint(2, 5)):
            (folder / f"{number}.dcm").write_bytes(_slice(number, dice))
        for number in range(dice.randint(0, 2)):
            name = dice.choice(_FILES)
            seeded = np.random.default_rng(dice.getrandbits(32))
            data = fuzz_images.damaged(fuzz_images.FORMATS[name](), seeded)
            (folder / f"v{number}{fuzz_images.SUFFIXES.get(name, '.' + name)}").write_bytes(data)
    victims.use(guard, folder, dice, out=work / "out")


def _slice(number: int, dice: random.Random) -> bytes:
    """One of a stack; its place in space may make no sense."""
    made = pydicom.dcmread(
        io.BytesIO(fuzz_images.dicom(pydicom.uid.ExplicitVRLittleEndian, bytes(range(256)) * 8 + bytes(192)))
    )
    made.SeriesInstanceUID, made.SOPInstanceUID = "1.2.3.4", f"1.2.3.4.{number}"
    made.InstanceNumber = dice.choice((number, 0, -1, 2**31 - 1))
    places = [0.0, 0.0, float(number)] if dice.random() < 0.5 else [dice.choice(_NUMBERS) for _ in range(3)]
    turns = [1.0, 0, 0, 0, 1, 0] if dice.random() < 0.6 else [dice.choice(_NUMBERS) for _ in range(6)]
    with_numbers = {"ImagePositionPatient": places, "ImageOrientationPatient": turns}
    for name, values in with_numbers.items():
        setattr(made, name, [f"{value:.6g}"[:16] for value in values][: dice.choice((len(values), len(values), 2))])
    out = io.BytesIO()
    made.save_as(out)
    data = out.getvalue()
    return damage.damaged_bytes(data, dice) if dice.random() < 0.3 else data
