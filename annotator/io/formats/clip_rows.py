"""Rows of the formats that hold objects through the frames of a series."""

from __future__ import annotations

from annotator.domain.ports.formats import Choice, FormatOption, FormatSpec, Holds
from annotator.io.formats.options import TOLERANCE_PX

CLIPS: tuple[FormatSpec, ...] = (
    FormatSpec(
        id="coco-video",
        title="COCO video",
        summary="one JSON file with videos and tracks",
        is_folder=False,
        suffix=".json",
        holds=frozenset((Holds.MASKS, Holds.HOLES, Holds.BOXES)),
        export="annotator.io.formats.coco_video:export_coco_video",
        import_="annotator.io.formats.clips_in.coco_video:import_coco_video",
        import_name=".json",
        claims="annotator.io.formats.clips_in.coco_video:is_coco_video",
        readers="mmtracking, TAO tools, what reads COCO (frames as images)",
    ),
    FormatSpec(
        id="youtube-vis",
        title="YouTube-VIS",
        summary="one JSON file, a list of masks per track",
        is_folder=False,
        suffix=".json",
        holds=frozenset((Holds.MASKS, Holds.HOLES, Holds.BOXES)),
        export="annotator.io.formats.youtube_vis:export_youtube_vis",
        import_="annotator.io.formats.clips_in.youtube_vis:import_youtube_vis",
        import_name=".json",
        claims="annotator.io.formats.clips_in.youtube_vis:is_youtube_vis",
        readers="mmdetection and detectron2-based video models",
    ),
    FormatSpec(
        id="davis",
        title="DAVIS",
        summary="a palette PNG per frame",
        is_folder=True,
        suffix="",
        holds=frozenset((Holds.MASKS, Holds.HOLES)),
        export="annotator.io.formats.davis:export_davis",
        import_="annotator.io.formats.clips_in.davis:import_davis",
        import_name=".png",
        claims="annotator.io.formats.clips_in.davis:is_davis",
        readers="video object segmentation: SAM 2, XMem, Cutie",
    ),
    FormatSpec(
        id="mots",
        title="MOTS",
        summary="a text file per series",
        is_folder=True,
        suffix="",
        holds=frozenset((Holds.MASKS, Holds.HOLES)),
        options=(
            FormatOption(
                name="first_frame",
                title="First frame",
                default=0,
                help="number of a series' first frame: 0 as in KITTI MOTS, 1 as in MOTSChallenge",
                minimum=0,
                maximum=1,
            ),
        ),
        export="annotator.io.formats.mots:export_mots",
        readers="mots_tools, TrackEval",
    ),
    FormatSpec(
        id="cvat-video",
        title="CVAT video",
        summary="an XML file (CVAT for video 1.1) per series",
        is_folder=True,
        suffix="",
        holds=frozenset((Holds.MASKS, Holds.HOLES, Holds.POLYGONS)),
        options=(
            FormatOption(
                name="shapes",
                title="Objects as",
                default="polygon",
                help="how objects are written",
                choices=(
                    Choice("polygon", "Polygons, a track each", help="tracks stay tracks in CVAT"),
                    Choice(
                        "mask", "Masks (exact), a track a frame", help="CVAT has no tracks of masks; groups join them"
                    ),
                ),
            ),
            TOLERANCE_PX,
        ),
        export="annotator.io.formats.cvat_video:export_cvat_video",
        readers="CVAT (Upload annotations), Datumaro",
    ),
)
