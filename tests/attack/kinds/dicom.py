"""DICOM files whose elements swallow their neighbours: nothing of the patient gets any further."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pydicom

from tests import fuzz_images
from tests.attack import damage, victims
from tests.attack.guard import CANARIES, Guard


def attack(guard: Guard, dice: random.Random, work: Path) -> None:
    """DICOM files whose elements swallow their neighbours: nothing of the patient gets any further."""
    folder = victims.victim(guard.home, work)
    with guard.off():
        for path in folder.rglob("*.png"):
            path.unlink()
        for number in range(2):
            (folder / f"{number}.dcm").write_bytes(_patient_file(dice))
    victims.use(guard, folder, dice, out=work / "out")
    with guard.off():
        for path in folder.glob("*.dcm"):
            path.unlink()
        guard.check_files(work)


def _patient_file(dice: random.Random) -> bytes:
    base = dice.choice(fuzz_images.FORMATS["dicom"]())
    made = pydicom.dcmread(io.BytesIO(base))
    made.PatientName, made.PatientID, made.PatientBirthDate = CANARIES
    made.Modality, made.StudyInstanceUID, made.SOPInstanceUID = "CT", "1.2.3.4", "1.2.3.4.5"
    made.PixelSpacing, made.AccessionNumber, made.InstitutionName = [0.5, 0.5], CANARIES[1], CANARIES[0]
    made.StudyDescription = CANARIES[0]
    out = io.BytesIO()
    made.save_as(out)
    data = bytearray(out.getvalue())
    signs = [
        b"CS\x02\x00CT",
        b"UI\x08\x00",
        b"UI",
        b"PN",
        b"LO",
        b"DS",
        b"CS",
        b"SH",
        b"DA",
        b"US\x02\x00",
        b"OB",
        b"OW",
    ]
    for _ in range(dice.randint(1, 3)):
        at = data.find(dice.choice(signs), dice.choice((132, 200, 300, 500)))
        if at < 0:
            continue
        how = dice.randrange(4)
        if how <= 1:  # a length that swallows what follows
            length = dice.choice((0, 1, 4, 20, 40, 60, 100, 200, 1000, 0xFFFF, dice.randrange(300)))
            data[at + 2 : at + 4] = length.to_bytes(2, "little")
        elif how == 2:
            data[at : at + 2] = dice.choice((b"UN", b"SQ", b"CS", b"UI", b"LT", b"DS", b"IS", b"OB", b"UT", b"\0\0"))
        else:
            data[at - 4 : at] = dice.choice((b"\x08\0\x60\0", b"\x08\0\x18\0", b"\x28\0\x30\0", b"\x20\0\x0d\0"))
    return bytes(data) if dice.random() < 0.8 else damage.damaged_bytes(bytes(data), dice)
