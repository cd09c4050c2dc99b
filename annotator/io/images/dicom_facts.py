"""What is taken from a DICOM file besides its pixels: only values that fit their definition.

In a damaged file an element may have swallowed its neighbours: the modality then holds a patient's name. So nothing is
passed on that is not a number, a UID or a word of a list; and a value that cannot be read counts as missing.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from annotator.io.images.reader import BURNED_IN_FACT, UID_FACTS

if TYPE_CHECKING:
    import pydicom  # its import takes a tenth of a second, and the window needs the terms alone

# Defined terms of (0008,0060), with the retired ones (PS3.3 C.7.3.1.1.1).
_TERMS = (
    "ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO "
    "IOL IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR "
    "PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR "
    "SR SRF STAIN TEXTUREMAP TG US VA XA XAPROTOCOL XC AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR "
    "ST TH VF "
)
MODALITIES = frozenset(_TERMS.split())
_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UID_LENGTH = 64
_OFTEN_BURNED_IN = ("US", "SC", "XC", "ES", "OT")


def value_of(dataset: pydicom.Dataset, name: str) -> Any:
    """An element's value, or None when it is missing, empty or cannot be read."""
    try:
        value = dataset.get(name)
    except Exception:  # a value that does not fit its type; pydicom raises nearly anything, and quotes it
        return None
    return None if value is None or value == "" else value


def whole_number(dataset: pydicom.Dataset, name: str, default: int) -> int:
    """A whole number, or the default when the element holds none."""
    number = number_in(value_of(dataset, name))
    return default if number is None or not number.is_integer() else int(number)


def number_in(value: Any) -> float | None:
    """The first of one or several decimal strings, if it is a finite number."""
    first = all_numbers(value)[:1]
    return first[0] if first else None


def all_numbers(value: Any) -> list[float | None]:
    """One or several decimal strings as numbers; None for what is no finite number."""
    if value is None or value == "":
        return []
    several = not isinstance(value, str | int | float) and hasattr(value, "__len__")
    return [_number(item) for item in value] if several else [_number(value)]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def modality_of(dataset: pydicom.Dataset) -> str | None:
    """One of the defined terms, or None."""
    value = value_of(dataset, "Modality")
    term = value.strip() if isinstance(value, str) else ""
    return term if term in MODALITIES else None


def uid_of(dataset: pydicom.Dataset, name: str) -> str | None:
    """A UID as PS3.5 section 9 defines it, or None."""
    value = value_of(dataset, name)
    text = str(value).strip() if isinstance(value, str) else ""
    return text if len(text) <= _UID_LENGTH and _UID.fullmatch(text) else None


def is_burned_in(dataset: pydicom.Dataset) -> bool:
    """Whether text about the patient is likely among the pixels, by the file's own words, else by its kind."""
    said = str(value_of(dataset, "BurnedInAnnotation") or "").strip().upper()
    if said in ("YES", "NO"):
        return said == "YES"
    return modality_of(dataset) in _OFTEN_BURNED_IN or value_of(dataset, "ConversionType") is not None


def facts_of(dataset: pydicom.Dataset) -> dict[str, Any]:
    """UIDs and modality, as far as they are what their names say, and whether text is likely in the pixels; nothing
    else of the file."""
    found: dict[str, Any] = {name: uid_of(dataset, name) for name in UID_FACTS}
    found["Modality"] = modality_of(dataset)
    found[BURNED_IN_FACT] = True if is_burned_in(dataset) else None
    return {name: value for name, value in found.items() if value is not None}


def spacing_of(dataset: pydicom.Dataset, frame: int) -> tuple[float, float] | None:
    """Pixel size (x, y) in millimetres, or None."""
    group = functional_group(dataset, frame, "PixelMeasuresSequence") or dataset
    numbers = all_numbers(value_of(group, "PixelSpacing"))
    down, right = numbers if len(numbers) == 2 else (None, None)
    return None if down is None or right is None or down <= 0 or right <= 0 else (right, down)


def functional_group(dataset: pydicom.Dataset, frame: int, name: str) -> pydicom.Dataset | None:
    """A functional group of an enhanced multi-frame object: the frame's own, else the shared one."""
    from pydicom import Sequence

    per_frame = value_of(dataset, "PerFrameFunctionalGroupsSequence") or []
    shared = value_of(dataset, "SharedFunctionalGroupsSequence") or []
    if not isinstance(per_frame, Sequence) or not isinstance(shared, Sequence | list):
        per_frame, shared = [], []
    for group in (*per_frame[frame : frame + 1], *shared[:1]):
        items = value_of(group, name)
        if items:
            return items[0]  # type: ignore[no-any-return]
    return None
