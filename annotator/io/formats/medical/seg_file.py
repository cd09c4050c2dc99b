"""One DICOM-SEG file: written by highdicom, read back by pydicom and our own arithmetic."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.planes import SAME_MM, Plane
from annotator.domain.project import Annotation, ImageRecord
from annotator.io.formats.medical.codes import Code, Codes
from annotator.io.formats.medical.dicom_common import MANUFACTURER, Names
from annotator.io.formats.medical.segments import Segment, by_image, layers_of, painted
from annotator.io.segments.dicom import SegFrames

PIP = "Run: pip install 'annotator[medical]'"
_LONGEST_LABEL = 64
_SERIES_NUMBER = 900


class SourceRefusedError(ExportError):
    """The heads of the images lack something, or contradict each other."""


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """The images that a file is made of.

    Attributes:
        name: for people.
        images: in their order; of a file of many frames all of its frames, else those with objects.
        heads: by path.
        planes: of the images; None where a file does not say.
        is_frames: whether the images are frames of one file.
    """

    name: str
    images: tuple[ImageRecord, ...]
    heads: Mapping[str, pydicom.Dataset]
    planes: tuple[Plane | None, ...]
    is_frames: bool


def highdicom() -> Any:
    """The library.

    Raises:
        ExportError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import highdicom as library
            import highdicom.seg
    except ImportError as error:
        raise ExportError("DICOM-SEG needs the package highdicom, which is not installed.", PIP) from error
    # It tells of every element that it copies.
    logging.getLogger("highdicom").setLevel(logging.ERROR)
    return library


def write_seg(path: Path, sources: Sources, segments: list[Segment], codes: Codes, names: Names) -> None:
    """Write one file: BINARY, uncompressed, frames that are empty left out.

    Raises:
        SourceRefusedError: highdicom refuses the images. ExportError: it takes too much memory.
    """
    library = highdicom()
    numbers = {segment.number: place for place, segment in enumerate(segments, start=1)}
    pixels = _pixels(path.name, sources, segments, numbers)
    paths = dict.fromkeys(image.path for image in sources.images)
    datasets = [_source(sources, one) for one in paths]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd values in the source's head, for its maker
            made = library.seg.Segmentation(
                source_images=datasets,
                pixel_array=pixels,
                segmentation_type="BINARY",
                segment_descriptions=[
                    _described(library, segment, numbers[segment.number], codes, names, datasets[0])
                    for segment in segments
                ],
                series_instance_uid=generate_uid(None),
                series_number=_SERIES_NUMBER,
                sop_instance_uid=generate_uid(None),
                instance_number=1,
                manufacturer=MANUFACTURER,
                manufacturer_model_name=MANUFACTURER,
                software_versions=version("annotator"),
                device_serial_number="0",
                content_label="SEGMENTATION",
                content_description="Objects and classes",
                series_description="Segmentation",
                transfer_syntax_uid=ExplicitVRLittleEndian,
                omit_empty_frames=True,
            )
            made.save_as(path)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise SourceRefusedError(f"{brief(sources.name)} cannot be written as DICOM-SEG ({error}).") from error


def check_seg(path: Path, sources: Sources, segments: list[Segment]) -> tuple[list[str], float]:
    """Every pixel of every frame, the image it names, and where its centre lies, by pydicom.

    Returns:
        Problems, and how far a centre is off in mm, at most.
    """
    dataset = pydicom.dcmread(path)
    frames = SegFrames(dataset, path.name)
    at, off_mm, problems = by_image(segments), 0.0, list[str]()
    uids = {(str(sources.heads[image.path].SOPInstanceUID), image.frame): image for image in sources.images}
    planes = {image.id: plane for image, plane in zip(sources.images, sources.planes, strict=True)}
    missing = {(image, segment.number) for image, members in at.items() for segment, _ in members}
    for frame in range(frames.count):
        named = frames.source(frame)
        image = None if named is None else uids.get((named[0], named[1] or 0))
        number, bits = frames.segment(frame), frames.bits(frame)
        if image is None or not 0 < number <= len(segments):
            problems.append(f"frame {frame + 1} names no image or no segment")
            continue
        segment = segments[number - 1]
        wanted = np.zeros(bits.shape, np.bool_)
        for one in (one for other, one in at.get(image.id, []) if other.number == segment.number):
            wanted |= one.mask().full()
        missing.discard((image.id, segment.number))
        if not np.array_equal(wanted, bits):
            problems.append(f"{segment.name} on {image.name}")
            continue
        plane, own = planes[image.id], frames.plane(frame)
        if plane is not None:
            y, x = np.nonzero(bits)
            centre = np.array([[x.mean(), y.mean()]])
            off = np.inf if own is None else np.linalg.norm(plane.points(centre) - own.points(centre))
            off_mm = max(off_mm, float(off))
    if missing:
        problems.append(f"missing: {counted(len(missing), 'frame')}")
    if off_mm > SAME_MM:
        problems.append(f"a segment lies {off_mm:.3g} mm off")
    return problems, off_mm


def _source(sources: Sources, path: str) -> pydicom.Dataset:
    """The head of a source; without a frame of reference where nothing says where the pixels lie."""
    head = sources.heads[path]
    if any(plane is None for plane in sources.planes) and "FrameOfReferenceUID" in head:
        del head.FrameOfReferenceUID
    return head


def _pixels(
    name: str, sources: Sources, segments: list[Segment], numbers: Mapping[int, int]
) -> npt.NDArray[np.unsignedinteger]:
    """Frames x rows x columns of numbers, or where objects overlap frames x rows x columns x segments."""
    at = by_image(segments)
    first = sources.images[0]
    shape = (len(sources.images), first.height, first.width)
    overlaps = max(layers_of(segments).values(), default=0) > 0
    depth = len(segments) if overlaps else 2 if len(segments) > 255 else 1
    budget.ask(name, 3 * int(np.prod(shape)) * depth, error=ExportError)
    if not overlaps:
        dtype = np.uint8 if len(segments) < 256 else np.uint16
        planes = [painted(_members(at, image), image.width, image.height, np.uint32)[0] for image in sources.images]
        table = np.zeros(max(numbers) + 1, dtype)
        for number, place in numbers.items():
            table[number] = place
        return np.stack([table[plane] for plane in planes])
    whole = np.zeros((*shape, len(segments)), np.uint8)
    for place, image in enumerate(sources.images):
        for segment, one in _members(at, image):
            mask = one.mask()
            h, w = mask.bits.shape
            part = whole[place, mask.y : mask.y + h, mask.x : mask.x + w, numbers[segment.number] - 1]
            part[mask.bits] = 1
    return whole


def _members(
    at: Mapping[int, list[tuple[Segment, Annotation]]], image: ImageRecord
) -> Sequence[tuple[Segment, Annotation]]:
    return at.get(image.id, ())


def _described(library: Any, segment: Segment, number: int, codes: Codes, names: Names, source: pydicom.Dataset) -> Any:
    category, kind = codes.of(segment.category)
    models = sorted({one.model for one in segment.objects if one.model})
    algorithm: dict[str, Any] = {"algorithm_type": "MANUAL"}
    if models:
        from pydicom.sr.codedict import codes as terms

        identification = library.AlgorithmIdentificationSequence(
            name=", ".join(models)[:_LONGEST_LABEL],
            version=version("annotator"),
            family=terms.DCM.ArtificialIntelligence,
        )
        algorithm = {"algorithm_type": "SEMIAUTOMATIC", "algorithm_identification": identification}
    track = f"track {segment.track_id}" if segment.track_id else segment.name
    own = f"{segment.category.id}|{segment.track_id or [one.id for one in segment.objects][:1]}"
    return library.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.category.name[:_LONGEST_LABEL],
        segmented_property_category=_coded(library, category),
        segmented_property_type=_coded(library, kind),
        tracking_uid=names.tracking_uid(str(source.SeriesInstanceUID), own),
        tracking_id=f"{segment.category.name} ({track})"[:_LONGEST_LABEL],
        display_color=library.color.CIELabColor(*_lab(segment.rgb)),
        **algorithm,
    )


def _coded(library: Any, code: Code) -> Any:
    return library.sr.CodedConcept(code.value, code.scheme, code.meaning)


def _lab(rgb: tuple[int, int, int]) -> tuple[float, float, float]:
    import cv2

    lab = cv2.cvtColor(np.array([[rgb]], np.float32) / 255, cv2.COLOR_RGB2Lab)[0, 0]
    lightness, a, b = (float(value) for value in lab)
    return lightness, a, b
