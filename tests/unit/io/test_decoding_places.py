"""Strangers' bytes are decoded by reader processes alone (``docs/adr/0013-reader-processes.md``): no other place of the
program calls what turns a file into pixels."""

from __future__ import annotations

import ast
from collections.abc import Iterable

import pytest

from tests.sources import sources

PIXEL_LIBRARIES = {
    *("tifffile", "pydicom", "nibabel", "nrrd", "imagecodecs", "imageio", "rawpy", "itk", "SimpleITK", "openslide"),
    *("av", "decord", "pillow_heif", "pylibjpeg", "gdcm", "skimage", "torchvision", "torchcodec", "czifile"),
}
"""Nothing but the readers imports one of these."""
DECODING_CALLS = {
    *("Image.open", "cv2.imread", "cv2.imdecode", "cv2.imreadmulti", "cv2.imdecodemulti", "cv2.VideoCapture"),
    *("cv2.haveImageReader", "plt.imread", "QImageReader", "QMovie", "ImageFile.Parser", "matplotlib.image.imread"),
    *("QImage.fromData", "QPixmap.loadFromData", "QImage.load", "QPixmap.load"),
}
OWN_BYTES = {
    "evaluate/degrade.py": {"cv2.imdecode"},
    "train/data/looks.py": {"cv2.imdecode"},
    "io/formats/davis.py": {"Image.open"},
    "io/formats/medical/check.py": {"nibabel", "nrrd"},
    "io/formats/medical/rtstruct_file.py": {"gdcm", "pydicom", "skimage"},
    "io/formats/medical/seg_file.py": {"pydicom"},
}
"""What these decode they have just encoded: the look of a JPEG, an export that is read back."""
NO_PIXELS = {
    "domain/likeness/seeds.py": {"skimage"},  # of arrays
    "io/formats/medical/dicom_common.py": {"pydicom"},  # what is written
    "io/formats/medical/segmentation.py": {"pydicom"},
}
"""These take something else of such a library."""
READERS = {
    *("claims", "colours", "decoding", "deep", "dicom", "dicom_facts", "dicom_frames", "dicom_grey", "dicom_identity"),
    *("dicom_series", "dicom_tables", "nifti", "nrrd", "grid", "raster", "sink", "stored", "tiff", "tiff_segments"),
    *(
        "dicom_deflated",
        "dicom_heads",
        "frame_store",
        "plain_png",
        "video",
        "tiff_colours",
        "tiff_regions",
        "regions",
        "whole_slide",
    ),
}
"""Modules of ``io/images`` that run in a reader process."""
IN_A_READER = ("child", *sorted(READERS))
SEGMENTS_READ = {"io/segments/dicom.py", "io/segments/labels.py", "io/segments/reading.py"}
"""Run there, too: ``child`` imports the last of them, which imports the others."""
ABOUT_READERS = {
    "decoding": {"readers", "HEAD_BYTES"},
    "dicom_facts": {"MODALITIES"},
    "video": {"VIDEO_SUFFIXES"},
}
"""What the program takes from them: which files there are readers for, and a list of words."""


def name_of(node: ast.expr) -> str:
    """``a.b.c`` of a call's function."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}".lstrip(".")
    return node.id if isinstance(node, ast.Name) else ""


def decodes(nodes: Iterable[ast.AST]) -> set[str]:
    """Names of decoding calls, and of libraries of pixels that are imported, wherever that is."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & PIXEL_LIBRARIES
        elif isinstance(node, ast.ImportFrom):
            head = (node.module or "").split(".")[0]
            full = {f"{(node.module or '').split('.')[-1]}.{alias.name}" for alias in node.names}
            found |= ({head} & PIXEL_LIBRARIES) | (full & DECODING_CALLS)
        elif isinstance(node, ast.Call):
            called = name_of(node.func)
            found |= {call for call in DECODING_CALLS if called == call or called.endswith(f".{call}")}
            is_of_qt = called.rpartition(".")[2] in ("QImage", "QPixmap", "QIcon")
            if is_of_qt and any(_may_be_path(argument) for argument in node.args[:1]):
                found.add(called)
    return found


def _may_be_path(argument: ast.expr) -> bool:
    is_str = isinstance(argument, ast.Call) and name_of(argument.func) in ("str", "os.fspath", "Path")
    return is_str or (isinstance(argument, ast.Constant) and isinstance(argument.value, str))


def test_nothing_but_the_readers_decodes() -> None:
    modules = {f"io/images/{name}.py" for name in READERS} | SEGMENTS_READ
    found = {one.place: calls for one in sources() if one.place not in modules and (calls := decodes(one.nodes))}
    assert found == OWN_BYTES | NO_PIXELS, "ask annotator.io.images.reading instead"


def test_the_program_itself_reads_no_segments() -> None:
    """Nothing but the reader process, and what writes the same files, imports the modules that do."""
    names = {f"annotator.{place[:-3].replace('/', '.')}" for place in SEGMENTS_READ}
    who = {
        source.place
        for source in sources()
        for node in source.nodes
        if isinstance(node, ast.ImportFrom) and node.module in names
    }
    writers = {"io/formats/medical/rtstruct_file.py", "io/formats/medical/seg_file.py"}
    assert who == {"io/images/child.py", "io/segments/reading.py"} | writers


def test_nothing_but_the_reader_process_runs_the_readers() -> None:
    """What the program imports of them is which there are, never what reads."""
    wrong = []
    inside = {f"io/images/{name}.py" for name in IN_A_READER} | SEGMENTS_READ
    for source in sources():
        place = source.place
        for node in source.nodes if place not in inside else ():
            if isinstance(node, ast.ImportFrom) and node.module == "annotator.io.images":
                wrong += [f"{place}: {alias.name}" for alias in node.names if alias.name in READERS]
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("annotator.io.images."):
                name = (node.module or "").rpartition(".")[2]
                taken = {alias.name for alias in node.names} - ABOUT_READERS.get(name, set())
                wrong += [f"{place}: {name}.{one}" for one in sorted(taken) if name in READERS]
    assert wrong == []


@pytest.mark.parametrize(
    "code",
    [
        "import cv2\npixels = cv2.imread(str(path))",
        "from PIL import Image\ndef read(path):\n    with Image.open(path) as image:\n        return image",
        "from PIL.Image import open as read",
        "def read(path):\n    import tifffile\n    return tifffile.imread(path)",
        "from pydicom import dcmread",
        "import nibabel.nifti1",
        "image = QImage(str(path))",
        "image = QtGui.QPixmap('a.png')",
        "reader = QtGui.QImageReader(path)",
    ],
)
def test_a_new_place_would_be_seen(code: str) -> None:
    assert decodes(ast.walk(ast.parse(code)))
