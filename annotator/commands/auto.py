"""``annotator auto``: every object of images, without a person; COCO with scores."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from annotator.commands.frame_options import add_frame_options, pick_of
from annotator.commands.precision_option import add_precision_argument
from annotator.domain.answering.everything import EverythingSettings
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.frame_pick import ALL_FRAMES, FramePick
from annotator.domain.media import frame_name, is_video_path

if TYPE_CHECKING:
    from annotator.domain.answering.everything import Proposal
    from annotator.domain.ports.engine import AnswersEverything, Segmenter
    from annotator.io.images.reading import LoadedImage

_HELP = {
    "points_per_side": "clicks along a side of the grid over the image",
    "points_per_batch": "clicks decoded at once; 0: what suits the model",
    "pred_iou_thresh": "predicted IoU that a mask must exceed",
    "stability_score_thresh": "stability that a mask must reach",
    "stability_score_offset": "shift of the logits that stability is measured with",
    "box_nms_thresh": "of two masks whose boxes overlap more (IoU) the better one is kept",
    "mask_nms_thresh": "the same for the masks themselves",
    "crop_n_layers": "layer n asks 4**n overlapping crops of the image, too",
    "crop_nms_thresh": "as --box-nms-thresh, between crops",
    "crop_overlap_ratio": "overlap of the first layer's crops, a share of the image's shorter side",
    "crop_n_points_downscale_factor": "points per side in layer n are divided by its nth power",
    "min_mask_region_area": "smaller islands and holes are taken out, in pixels",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files, videos, or folders of them")
    add_frame_options(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="objects.json", help="COCO's JSON, with scores")
    parser.add_argument("--model", metavar="NAME|PATH", help="a model of the registry, or a checkpoint file")
    parser.add_argument("--config", metavar="NAME", help="the sam2 configuration of a checkpoint file")
    parser.add_argument("--device", choices=("cpu", "cuda", "mps"), help="where the model runs (default: the best)")
    add_precision_argument(parser)
    for field in dataclasses.fields(EverythingSettings):
        if field.name in _HELP:
            kind = int if isinstance(field.default, int) else float
            text = f"{_HELP[field.name]} (default: what suits the model)"
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, metavar="N", help=text)
    parser.add_argument("--no-border", action="store_true", help="leave out objects that touch the image's border")


def run(args: argparse.Namespace) -> int:
    """Ask image by image. What is done is kept beside the output while the work goes on: the same command after a
    stop or a kill goes on from there. Exit code 1 when some images could not be read; the others are written.

    Raises:
        UserError: no images, a model that cannot be loaded, settings that make no sense, an unwritable output.
    """
    from annotator.commands.output import check_output
    from annotator.domain.errors import ExportError, ImageError, ModelError
    from annotator.domain.ports.engine import AnswersEverything
    from annotator.files.atomic import export_errors, write_atomic

    out: Path = args.out
    if out.suffix.lower() != ".json":
        raise ExportError(f"{brief(out)} has an unknown kind.", "Name a .json file.")
    files = _files(args.images, pick_of(args) or ALL_FRAMES)
    if not files:
        raise ImageError("There are no images.", "Name image files, or folders that hold some.")
    check_output(out, sources=(*(file.path for file in files), args.model))

    from annotator.commands.precision_option import checked_precision, dtype_of
    from annotator.engine.load import load_segmenter

    found = load_segmenter(args.model, device=args.device, config=args.config, dtype=dtype_of(args))
    segmenter = checked_precision(found, args)
    if not isinstance(segmenter, AnswersEverything):
        raise ModelError(f"{brief(segmenter.info.name)} cannot segment everything.", "Name another model.")
    settings = _settings(args, segmenter)
    progress = _Progress(out, segmenter, settings, files)
    failed = _work_through(files, segmenter, settings, progress)
    with export_errors(out):
        write_atomic(out, json.dumps(progress.coco(files), indent=1).encode())
    progress.remove()
    print(f"{out}: {counted(progress.count)} in {counted(len(files) - len(failed), 'image')}")
    for line in failed:
        print(f"annotator: left out: {line}", file=sys.stderr)
    return 1 if failed else 0


class _Picture(NamedTuple):
    """A file, or a frame of a video."""

    path: Path
    frame: int = 0

    @property
    def name(self) -> str:
        """Unique, and what the output has."""
        return frame_name(str(self.path), self.frame)


def _files(named: list[Path], pick: FramePick) -> list[_Picture]:
    """Images in the order in which they were named, those of folders by name, and videos as their frames; each once.

    Raises:
        ImageError: a video has none of the frames.
    """
    from annotator.io.images.frame_source import video_frames
    from annotator.io.images.reading import list_images

    found: dict[_Picture, None] = {}
    for path in named:
        for file in [path / name for name in list_images(path)] if path.is_dir() else [path]:
            frames = video_frames(file.absolute(), pick) if is_video_path(file.name) and file.is_file() else ()
            found.update(dict.fromkeys(_Picture(file, frame) for frame in frames or (0,)))
    return list(found)


def _settings(args: argparse.Namespace, segmenter: AnswersEverything) -> EverythingSettings:
    given = {name: getattr(args, name) for name in _HELP if getattr(args, name) is not None}
    if args.no_border:
        given["keeps_border"] = False
    return dataclasses.replace(segmenter.everything_settings, **given).checked()


def _work_through(
    files: list[_Picture], segmenter: Segmenter, settings: EverythingSettings, progress: _Progress
) -> list[str]:
    """Asks what is not done yet; says which images could not be read, and why."""
    from annotator.commands.job_bar import run_with_bar
    from annotator.domain.errors import ImageError
    from annotator.io.project.windows import AsShown
    from annotator.jobs.job import Job

    as_shown = AsShown()
    failed: list[str] = []
    left = [file for file in files if not progress.has(file)]
    if len(left) < len(files):
        print(f"annotator: done before: {counted(len(files) - len(left), 'image')}", file=sys.stderr)

    def work(job: Job) -> None:
        for done, file in enumerate(left):
            job.note(Path(file.name).name)
            job.progress(done, len(left))
            try:
                image = as_shown.load(file.path, frame=file.frame)
            except ImageError as error:
                failed.append(f"{brief(file.name)}: {error}")
                continue
            progress.add(file, image, _everything(segmenter, image, settings))
        job.progress(len(left), len(left))

    run_with_bar(Job("Everything", unit="image"), work, stays=True, everywhere=False)
    return failed


def _everything(segmenter: Segmenter, image: LoadedImage, settings: EverythingSettings) -> tuple[Proposal, ...]:
    from annotator.domain.answering.asking import proposals_of
    from annotator.domain.ports.engine import AnswersEverything

    assert isinstance(segmenter, AnswersEverything)
    embedding = segmenter.encode(image.rgb, image.image_key)
    return proposals_of(segmenter.everything(embedding, image.rgb, settings))


class _Progress:
    """What is done, a line an image in a file beside the output. A file of other settings or weights is begun anew."""

    def __init__(self, out: Path, segmenter: Segmenter, settings: EverythingSettings, files: list[_Picture]) -> None:
        self._path = out.with_name(f"{out.name}.part")
        self._info = segmenter.info
        about = {"model": self._info.sha256, "precision": self._info.dtype, "settings": dataclasses.asdict(settings)}
        self._header = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        self._settings = settings
        self._done: dict[str, dict[str, Any]] = {}
        self._read()

    @property
    def count(self) -> int:
        return sum(len(row["objects"]) for row in self._done.values())

    def has(self, file: _Picture) -> bool:
        """Whether the image was asked, and is still the same file."""
        row = self._done.get(file.name)
        return row is not None and row["stamp"] == _stamp(file.path)

    def add(self, file: _Picture, image: LoadedImage, proposals: tuple[Proposal, ...]) -> None:
        from annotator.files.atomic import export_errors

        objects = [_object(proposal) for proposal in proposals]
        row = {"file": file.name, "stamp": _stamp(file.path), "size": [image.width, image.height], "objects": objects}
        self._done[file.name] = row
        with export_errors(self._path), self._path.open("a", encoding="utf-8") as part:
            if part.tell() == 0:
                part.write(json.dumps({"header": self._header}) + "\n")
            part.write(json.dumps(row) + "\n")

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def coco(self, files: list[_Picture]) -> dict[str, Any]:
        """COCO's instances; images without objects are there, too, those that could not be read are not."""
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        common = _common_folder([file.path for file in files])
        for file in files:
            row = self._done.get(file.name)
            if row is None:
                continue
            width, height = row["size"]
            name = frame_name(file.path.absolute().relative_to(common).as_posix(), file.frame)
            images.append({"id": len(images) + 1, "file_name": name, "width": width, "height": height})
            for item in row["objects"]:
                annotations.append({"id": len(annotations) + 1, "image_id": len(images), "category_id": 1, **item})
        about = {
            "description": "annotator auto",
            "model": self._info.name,
            "model_sha256": self._info.sha256,
            "precision": self._info.dtype,
        }
        settings = dataclasses.asdict(self._settings)
        return {
            "info": {**about, "settings": settings},
            "images": images,
            "categories": [{"id": 1, "name": "object"}],
            "annotations": annotations,
        }

    def _read(self) -> None:
        try:
            lines = self._path.read_text("utf-8").splitlines()
            if not lines or json.loads(lines[0]).get("header") != self._header:
                self._path.unlink()
                return
            for line in lines[1:]:
                row = json.loads(line)
                self._done[row["file"]] = row
        except FileNotFoundError:
            return
        except (ValueError, KeyError, AttributeError, OSError):
            # A killed run may leave half a line: what stands before it counts, and the file is written anew.
            kept = list(self._done.values())
            lines = [json.dumps({"header": self._header}), *(json.dumps(row) for row in kept)]
            self._path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _object(proposal: Proposal) -> dict[str, Any]:
    mask = proposal.mask
    return {
        "iscrowd": 0,
        "area": mask.area,
        "bbox": list(mask.bbox_xywh),
        "segmentation": {"size": [mask.height, mask.width], "counts": mask.rle().decode("ascii")},
        "score": round(proposal.predicted_iou, 4),
        "stability_score": round(proposal.stability_score, 4),
        "point_coords": [[round(value, 2) for value in proposal.point_xy]],
    }


def _stamp(file: Path) -> list[int]:
    try:
        facts = file.stat()
    except OSError:
        return []
    return [facts.st_size, facts.st_mtime_ns]


def _common_folder(files: list[Path]) -> Path:
    """The deepest folder that holds all images: what names in the output are relative to."""
    import os

    return Path(os.path.commonpath([str(file.absolute().parent) for file in files]))
