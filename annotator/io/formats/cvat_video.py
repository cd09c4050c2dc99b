"""CVAT for video 1.1: an XML file a series, in which a track has a shape a frame.

CVAT keeps shapes of key frames alone and draws the ones between by itself, so every shape is a key frame, and where a
track ends or pauses, a shape with ``outside`` says so.
"""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from annotator.domain.attributes import Attribute, AttributeForm, AttributeTarget, Value
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.mask import Mask
from annotator.domain.polygon import DEFAULT_TOLERANCE_PX, MIN_IOU, bridged_ring, mask_to_polygons, rings_to_mask
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation
from annotator.domain.tracks.track import CARRIED_ORIGINS
from annotator.files.atomic import export_errors
from annotator.io.formats.clips import Clip, Clips, ClipTrack, clips_of
from annotator.io.formats.coco_video import report_of
from annotator.io.formats.cvat_read import Shape, read_shapes
from annotator.io.formats.drawn import drawn_parts
from annotator.io.formats.report import CheckReport, ExportReport, shortened
from annotator.io.formats.staging import check_folder, put_files, staging
from annotator.io.project.queries import ProjectQueries

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OCCLUDED, _TRACK = "occluded", "track_id"
_INPUTS = {AttributeForm.ONE: "select", AttributeForm.YES_NO: "checkbox"}


def export_cvat_video(
    store: ProjectQueries,
    out_path: str | Path,
    *,
    shapes: str = "polygon",
    tolerance_px: float = DEFAULT_TOLERANCE_PX,
    include_unfinished: bool = True,
    all_images: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """``OUT/SERIES.xml`` for each series, read back and compared before any is put into place.

    Args:
        shapes: "polygon": a track is a track with a polygon a frame, holes and parts joined into one; "mask": exact,
            but CVAT has no tracks of masks, so each mask is a track of one frame, in a group by track.
        tolerance_px: how far a polygon may leave out vertices; its IoU stays at 0.98 or more.

    Raises:
        ExportError: there is no series, a file cannot be written, or reading it back gave other data; nothing was put
            into place then.
        ProjectError: the project cannot be read.
    """
    target = Path(out_path).absolute()
    check_folder(target)
    with store.snapshot(), export_errors(target), staging(target) as made:
        clips = clips_of(store, include_unfinished=include_unfinished, all_images=all_images, progress=progress)
        attributes = [one for one in store.attributes() if one.target is AttributeTarget.OBJECT]
        writer = _Writer(clips, attributes, shapes, tolerance_px)
        for clip in clips.clips:
            writer.write(clip, made / f"{clip.folder}.xml")
        check = writer.check()
        if not check.is_ok:
            detail = "; ".join(shortened(check.problems)[:3])
            raise ExportError(f"{brief(target.name)} was not written: reading it back gave other data ({detail}).")
        put_files(made, target)
    more = [f"bridged into one polygon, with holes or several parts: {counted(writer.bridged, 'object')}"]
    return report_of(target, clips, check, tuple(more if writer.bridged else []))


class _Writer:
    """Writes the files, and reads each back."""

    def __init__(self, clips: Clips, attributes: list[Attribute], shapes: str, tolerance_px: float) -> None:
        self._clips, self._attributes, self._tolerance_px = clips, attributes, tolerance_px
        self._is_mask = shapes == "mask"
        self._ious: list[tuple[float, str]] = []
        self._problems: list[str] = []
        self.bridged = 0

    def write(self, clip: Clip, file: Path) -> None:
        """Raises: OSError."""
        with file.open("w", encoding="utf-8", newline="\n") as out:
            out.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
            out.writelines(self._meta(clip))
            for depth, track in enumerate(clip.tracks):
                out.writelines(self._track(track, depth, clip.numbers))
            out.write("</annotations>\n")
        self._compare(clip, file)

    def check(self) -> CheckReport:
        """Of all that was read back."""
        worst = min(self._ious, default=(1.0, ""))
        exact = len(self._ious) if self._is_mask else 0
        return CheckReport(
            len(self._ious), rle=exact, worst_iou=worst[0], worst_name=worst[1], problems=tuple(self._problems)
        )

    def _meta(self, clip: Clip) -> Iterator[str]:
        width, height = clip.size_wh
        yield f"  <meta>\n    <task>\n      <name>{_text(clip.name)}</name>\n      <size>{len(clip.images)}</size>\n"
        yield from _range_rows(clip.numbers)
        yield "      <mode>interpolation</mode>\n      <overlap>0</overlap>\n      <labels>\n"
        for category in self._clips.categories.values():
            kind = "mask" if self._is_mask else "polygon"
            yield f"        <label>\n          <name>{_text(category.name)}</name>\n          <type>{kind}</type>\n"
            yield "          <attributes>\n"
            yield _attribute_row(_TRACK, "text", is_mutable=False)
            for one in self._attributes:
                if one.category_id in (0, category.id):
                    default = "" if one.default is None else _worded(one.default)
                    choices = one.choices if one.form is AttributeForm.ONE else ()
                    yield _attribute_row(one.name, _INPUTS.get(one.form, "text"), default=default, choices=choices)
            yield "          </attributes>\n        </label>\n"
        yield "      </labels>\n      <original_size>\n"
        yield f"        <width>{width}</width>\n        <height>{height}</height>\n      </original_size>\n"
        yield "    </task>\n  </meta>\n"

    def _track(self, track: ClipTrack, depth: int, numbers: Sequence[int]) -> Iterator[str]:
        """Of masks, a track a frame."""
        shown = sorted(track.objects.items())
        for part in [[one] for one in shown] if self._is_mask else [shown]:
            is_auto = all(one.origin in CARRIED_ORIGINS for _, one in part)
            group = f' group_id="{track.id}"' if self._is_mask else ""
            number = part[0][1].id if self._is_mask else track.id
            label = _quoted(self._clips.categories[track.category_id].name)
            yield f'  <track id="{number}" label={label} source="{"auto" if is_auto else "manual"}"{group}>\n'
            for frame, one in part:
                places, inside = self._places(one), self._values(track, one)
                yield self._shape(numbers[frame], places, inside, one, depth, is_outside=False)
                is_last = self._is_mask or frame + 1 not in track.objects
                if is_last and frame + 1 < len(numbers):
                    yield self._shape(numbers[frame + 1], places, inside, one, depth, is_outside=True)
            yield "  </track>\n"

    def _shape(self, frame: int, places: str, inside: str, one: Annotation, depth: int, *, is_outside: bool) -> str:
        kind = "mask" if self._is_mask else "polygon"
        flags = f'outside="{int(is_outside)}" occluded="{int(_is_occluded(one))}" keyframe="1"'
        return f'    <{kind} frame="{frame}" {flags} {places} z_order="{depth}">\n{inside}    </{kind}>\n'

    def _places(self, one: Annotation) -> str:
        if self._is_mask:
            x, y, w, h = one.x, one.y, one.w, one.h
            runs = ", ".join(map(str, _runs(one.mask())))
            return f'rle="{runs}" left="{x}" top="{y}" width="{w}" height="{h}"'
        return f'points="{self._points(one)}"'

    def _points(self, one: Annotation) -> str:
        """Where the simplified rings of several parts cross, exact ones do not."""
        mask, text = one.mask(), ""
        for number, tolerance in enumerate((self._tolerance_px, 0.0)):
            drawn = () if number else drawn_parts(one.prompts, mask)
            parts = drawn or mask_to_polygons(mask, tolerance_px=tolerance)
            rings = [ring for part in parts for ring in (part.exterior, *part.holes)]
            ring = bridged_ring(rings).round(2)
            text = ";".join(f"{x:.2f},{y:.2f}" for x, y in ring.tolist())
            if rings_to_mask([ring], width=mask.width, height=mask.height).iou(mask) >= MIN_IOU:
                break
        self.bridged += len(rings) > 1
        return text

    def _values(self, track: ClipTrack, one: Annotation) -> str:
        found = [(_TRACK, str(track.id))]
        for attribute in self._attributes:
            value = attribute.value_of(one.extra)
            if value is not None and attribute.category_id in (0, one.category_id):
                found.append((attribute.name, _worded(value)))
        return "".join(f"      <attribute name={_quoted(name)}>{_text(value)}</attribute>\n" for name, value in found)

    def _compare(self, clip: Clip, file: Path) -> None:
        """What CVAT would show, frame by frame, with what the project has."""
        try:
            found, problems = read_shapes(file, size_wh=clip.size_wh, numbers=clip.numbers)
        except (ValueError, KeyError, ElementTree.ParseError) as error:
            self._problems.append(f"{brief(file.name)} cannot be read: {error}")
            return
        self._problems += problems
        for track in clip.tracks:
            label = _clean(self._clips.categories[track.category_id].name)
            for frame, one in track.objects.items():
                name = self._clips.name_of(one, clip, frame)
                shape = found.pop((track.id, clip.numbers[frame]), Shape("", None, False))
                iou = 0.0 if shape.mask is None else shape.mask.iou(one.mask())
                self._ious.append((iou, name))
                if (shape.label, shape.is_occluded) != (label, _is_occluded(one)):
                    self._problems.append(f"{brief(name)}: it, its class or its track is not there")
                elif iou < (1.0 if self._is_mask else MIN_IOU):
                    self._problems.append(f"{name}: IoU {iou:.4f}")
        self._problems += [f"track {track}, frame {frame}: not in the project" for track, frame in found]


def _range_rows(numbers: Sequence[int]) -> Iterator[str]:
    """The frames of the video that a task has, as CVAT says it. Shapes keep the video's numbers."""
    if numbers == tuple(range(len(numbers))):
        return
    yield f"      <start_frame>{numbers[0]}</start_frame>\n      <stop_frame>{numbers[-1]}</stop_frame>\n"
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    if len(steps) == 1 and steps != {1}:
        yield f"      <frame_filter>step={steps.pop()}</frame_filter>\n"


def _attribute_row(
    name: str, kind: str, *, is_mutable: bool = True, default: str = "", choices: tuple[str, ...] = ()
) -> str:
    values = "\n".join(map(_text, choices))
    return (
        f"            <attribute>\n              <name>{_text(name)}</name>\n"
        f"              <mutable>{is_mutable}</mutable>\n              <input_type>{kind}</input_type>\n"
        f"              <default_value>{_text(default)}</default_value>\n"
        f"              <values>{values}</values>\n            </attribute>\n"
    )


def _is_occluded(one: Annotation) -> bool:
    """Where an attribute of this name, which CVAT's own exports have, says so."""
    values = one.extra.get("attributes")
    return isinstance(values, dict) and values.get(_OCCLUDED) is True


def _worded(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _runs(mask: Mask) -> list[int]:
    """Lengths of runs in the object's box, row by row, the first one of pixels outside (it may be 0)."""
    flat = mask.tight().bits.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else lengths


def _clean(text: str) -> str:
    """XML has no control characters, not even escaped ones."""
    return _NO_XML.sub("\ufffd", text)


def _text(text: str) -> str:
    return escape(_clean(text), {"\r": "&#13;"})


def _quoted(text: str) -> str:
    return quoteattr(_clean(text))
