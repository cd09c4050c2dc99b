"""DICOM segmentations (SEG: binary, fractional, label map) and structure sets (RTSTRUCT), laid onto pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.utils import pixel_array

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.domain.mask import Mask
from annotator.domain.outline import area_of
from annotator.domain.planes import Plane
from annotator.io.images.dicom_deflated import check_deflated
from annotator.io.images.dicom_facts import all_numbers, functional_group, uid_of, value_of, whole_number
from annotator.io.images.dicom_series import plane_of_frame
from annotator.io.segments.found import CLASS_TAG, MOST_SEGMENTS, Found, Picture, PlaneIndex, Segment

SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage, Label Map Segmentation Storage."""
RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_LEAST_SHARE = 0.5
"""Of a fractional segmentation: what is at least that much inside is inside."""
_ON_PLANE_MM = 0.6
_MOST_POINTS = 50_000_000
_Bits = npt.NDArray[np.bool_]


def read_dicom(stream: BinaryIO, name: str, pictures: Sequence[Picture]) -> Found:
    """What a segmentation or a structure set has on the pictures.

    Raises:
        ImageError: it is neither, or damaged.
    """
    check_deflated(stream, name)
    length = stream.seek(0, 2)
    stream.seek(0)
    budget.ask(name, 4 * length, error=ImageError)
    dataset = pydicom.dcmread(stream, force=True)
    kind = uid_of(dataset, "SOPClassUID")
    if kind in SEG_CLASSES:
        return _Segmentation(dataset, name, pictures).read()
    if kind == RTSTRUCT_CLASS:
        return _structures(dataset, pictures)
    raise ImageError(f"{brief(name)} is no segmentation and no structure set.", "Choose a DICOM-SEG or RTSTRUCT file.")


class SegFrames:
    """The frames of a SEG file, one by one."""

    def __init__(self, dataset: pydicom.Dataset, name: str) -> None:
        self._dataset, self._name = dataset, name
        self.size = (whole_number(dataset, "Rows", 0), whole_number(dataset, "Columns", 0))
        """Rows and columns."""
        self.count = max(1, whole_number(dataset, "NumberOfFrames", 1))
        self.kind = str(value_of(dataset, "SegmentationType") or "BINARY").upper()

    def plane(self, frame: int) -> Plane | None:
        """Where it lies, as far as the file says."""
        return plane_of_frame(self._dataset, frame)

    def source(self, frame: int) -> tuple[str, int | None] | None:
        """UID of the image that it was made of, and there the frame, from 0; None where that is not one image."""
        group = functional_group(self._dataset, frame, "DerivationImageSequence")
        sources = [] if group is None else list(value_of(group, "SourceImageSequence") or [])
        if not sources and self.count == 1:
            sources = list(value_of(self._dataset, "SourceImageSequence") or [])
        if len(sources) != 1:
            return None
        numbers = [int(one) for one in all_numbers(value_of(sources[0], "ReferencedFrameNumber")) if one is not None]
        return uid_of(sources[0], "ReferencedSOPInstanceUID") or "", numbers[0] - 1 if numbers else None

    def segment(self, frame: int) -> int:
        """Number of its segment; 0 where it names none."""
        group = functional_group(self._dataset, frame, "SegmentIdentificationSequence")
        return whole_number(group, "ReferencedSegmentNumber", 0) if group is not None else 0

    def segments(self, frame: int) -> list[tuple[int, _Bits]]:
        """Number and pixels of its segments; one, but in a label map."""
        if self.kind == "LABELMAP":
            values = np.asarray(pixel_array(self._dataset, index=frame))
            return [(int(value), values == value) for value in np.unique(values) if value != 0]
        number = self.segment(frame)
        if number <= 0:
            return []
        if whole_number(self._dataset, "BitsAllocated", 1) == 1:
            return [(number, self.bits(frame))]
        values = np.asarray(pixel_array(self._dataset, index=frame))
        most = whole_number(self._dataset, "MaximumFractionalValue", 255) if self.kind == "FRACTIONAL" else 1
        return [(number, values >= _LEAST_SHARE * most)]

    def bits(self, frame: int) -> _Bits:
        """Of packed pixels: the first one is the lowest bit, and frames follow each other without a break.

        Raises:
            ImageError: they are cut off.
        """
        if self._dataset.file_meta.TransferSyntaxUID.is_compressed:
            packed: _Bits = np.asarray(pixel_array(self._dataset, index=frame)) != 0
            return packed
        rows, columns = self.size
        first = frame * rows * columns
        data = self._dataset.PixelData[first // 8 : (first + rows * columns + 7) // 8]
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[first % 8 :][: rows * columns]
        if bits.size < rows * columns:
            raise ImageError(f"{brief(self._name)} is cut off: frame {frame + 1} is missing.", "Copy it again.")
        return bits.reshape(rows, columns).astype(np.bool_)


class _Segmentation:
    """One SEG file on pictures."""

    def __init__(self, dataset: pydicom.Dataset, name: str, pictures: Sequence[Picture]) -> None:
        self._dataset, self._name, self._pictures = dataset, name, pictures
        self._frames = SegFrames(dataset, name)
        self._by_plane = PlaneIndex(pictures)
        self._by_uid = {(picture.uid, picture.frame): at for at, picture in enumerate(pictures) if picture.uid}

    def read(self) -> Found:
        frames = self._frames
        found = Found(has_space=True, shape=(frames.size[1], frames.size[0], frames.count, 1))
        found.segments = [_segment(item) for item in (value_of(self._dataset, "SegmentSequence") or [])]
        if len(found.segments) > MOST_SEGMENTS or min(frames.size) <= 0:
            raise ImageError(
                f"{brief(self._name)} is damaged: its size or its segments make no sense.", "Copy it again."
            )
        if not self._pictures:
            return found
        for frame in range(frames.count):
            at = self._picture_of(frame)
            if at is None:
                found.loose += 1
                continue
            for key, bits in frames.segments(frame):
                if bits.any():
                    found.masks.append((at, key, Mask.from_full(bits).rle().decode("ascii")))
        if frames.kind == "FRACTIONAL":
            found.notes.append("a fractional segmentation: what is inside by half or more is taken")
        known = {segment.key for segment in found.segments}
        found.segments += [Segment(key) for key in sorted({key for _, key, _ in found.masks} - known)]
        return found

    def _picture_of(self, frame: int) -> int | None:
        """By the picture that the frame was made of, else by its place; its pixels must be those of the picture."""
        plane, source = self._frames.plane(frame), self._frames.source(frame)
        named = None if source is None else self._by_uid.get((source[0], source[1] or 0))
        if named is not None:
            own = self._pictures[named].plane
            if (own is None or plane is None or own.is_same(plane)) and self._fits(named):
                return named
        at = None if plane is None else self._by_plane.find(plane)
        return at if at is not None and self._fits(at) else None

    def _fits(self, at: int) -> bool:
        return (self._pictures[at].height, self._pictures[at].width) == self._frames.size


def _segment(item: pydicom.Dataset) -> Segment:
    label = str(value_of(item, "SegmentLabel") or "").strip()
    track = uid_of(item, "TrackingUID") or ""
    names = {"category": "SegmentedPropertyCategoryCodeSequence", "type": "SegmentedPropertyTypeCodeSequence"}
    code = {key: words for key, name in names.items() if (words := _code(item, name))}
    colour = _colour_of_lab(_numbers(item, "RecommendedDisplayCIELabValue"))
    return Segment(whole_number(item, "SegmentNumber", 0), label, colour, track, code)


def _numbers(item: pydicom.Dataset, name: str) -> list[float]:
    return [number for number in all_numbers(value_of(item, name)) if number is not None]


def _code(item: pydicom.Dataset, of: str) -> list[str]:
    first = (value_of(item, of) or [None])[0]
    if first is None:
        return []
    names = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
    words = [str(value_of(first, name) or "").strip() for name in names]
    return words if words[0] and words[1] else []


def _colour_of_lab(numbers: list[float]) -> str:
    """DICOM's whole numbers of L*a*b* as ``#rrggbb``."""
    if len(numbers) != 3:
        return ""
    import cv2

    lab = np.array([[[numbers[0] / 655.35, numbers[1] / 257 - 128, numbers[2] / 257 - 128]]], np.float32)
    rgb = np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)[0, 0], 0, 1)
    return "#" + "".join(f"{round(255 * float(share)):02x}" for share in rgb)


# --- structure sets ---------------------------------------------------------------------------------------------------


def _structures(dataset: pydicom.Dataset, pictures: Sequence[Picture]) -> Found:
    """Contours of a structure on one picture are filled by the even-odd rule: an inner one is a hole."""
    names: dict[int, tuple[str, str]] = {}
    for item in value_of(dataset, "StructureSetROISequence") or []:
        about = str(value_of(item, "ROIDescription") or "").strip()
        own = about.removeprefix(CLASS_TAG) if about.startswith(CLASS_TAG) else ""
        names[whole_number(item, "ROINumber", 0)] = str(value_of(item, "ROIName") or "").strip(), own
    found = Found()
    by_uid = {picture.uid: at for at, picture in enumerate(pictures) if picture.uid and picture.frame == 0}
    by_plane = PlaneIndex(pictures)
    points_left, others = _MOST_POINTS, 0
    for item in value_of(dataset, "ROIContourSequence") or []:
        key = whole_number(item, "ReferencedROINumber", 0)
        colour = _numbers(item, "ROIDisplayColor")
        shown = "#" + "".join(f"{min(255, max(0, int(share))):02x}" for share in colour) if len(colour) == 3 else ""
        name, category = names.get(key, ("", ""))
        found.segments.append(Segment(key, name, shown, str(key), category=category))
        rings: dict[int, list[tuple[tuple[float, float], ...]]] = {}
        for contour in value_of(item, "ContourSequence") or []:
            if str(value_of(contour, "ContourGeometricType") or "") not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
                others += 1
                continue
            points = _points(contour)
            points_left -= len(points)
            if points_left < 0:
                raise ImageError("The structure set has more points than fit into memory.", "Export fewer structures.")
            at = _picture_of(contour, points, pictures, by_uid, by_plane)
            if at is None:
                found.loose += 1
                continue
            rings.setdefault(at, []).append(_ring(points, pictures[at].plane))
        for at, outline in rings.items():
            mask = area_of(outline, pictures[at].width, pictures[at].height)
            if not mask.is_empty:
                found.masks.append((at, key, mask.rle().decode("ascii")))
    if others:
        found.notes.append(f"contours that are no areas were left out: {others}")
    return found


def _points(contour: pydicom.Dataset) -> npt.NDArray[np.float64]:
    numbers = _numbers(contour, "ContourData")
    return np.array(numbers[: len(numbers) // 3 * 3], np.float64).reshape(-1, 3)


def _picture_of(
    contour: pydicom.Dataset,
    points: npt.NDArray[np.float64],
    pictures: Sequence[Picture],
    by_uid: dict[str, int],
    by_plane: PlaneIndex,
) -> int | None:
    if len(points) < 3 or not pictures:
        return None
    sources = list(value_of(contour, "ContourImageSequence") or [])
    named = by_uid.get(uid_of(sources[0], "ReferencedSOPInstanceUID") or "") if len(sources) == 1 else None
    if named is not None and (plane := pictures[named].plane) is not None:
        _, above = plane.pixels(points)
        if float(np.abs(above).max()) <= _ON_PLANE_MM:
            return named
    return by_plane.nearest(points, _ON_PLANE_MM)


def _ring(points: npt.NDArray[np.float64], plane: Plane | None) -> tuple[tuple[float, float], ...]:
    """In image positions: the centre of the first pixel is (0.5, 0.5)."""
    if plane is None:
        return ()
    pixels, _ = plane.pixels(points)
    return tuple((float(x) + 0.5, float(y) + 0.5) for x, y in pixels)
