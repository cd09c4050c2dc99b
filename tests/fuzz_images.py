"""Damages image files on purpose and reads them: each must be an image or a sentence, in bounded time and memory.

The suite runs a hundred cases a format. More, and other ones, by command:

    python -m tests.fuzz_images --cases 3000 [--seed N] [--formats tiff dicom] [--keep FOLDER]

The files come from the generators below, the damage from a seeded generator: a case is named by format, seed and
number. Files that ended their reader are kept in FOLDER.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from annotator.domain import budget
from annotator.domain.errors import ImageError
from annotator.io.images.pool import ReaderPool

CPU_S = 5.0
LIMIT_BYTES = 256 << 20
MAX_PIXELS = 50_000_000
_NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

_SOFT = np.clip(
    np.add.outer(np.arange(40), np.arange(56))[:, :, None] * [2, 1, 3]
    + np.random.default_rng(5).integers(0, 60, (40, 56, 3)),
    *(0, 255),
).astype(np.uint8)
_GREY, _DEEP = _SOFT[..., 0], _SOFT.astype(np.uint16) * 200
_VOLUME = np.stack([_GREY.T, _GREY.T[::-1], _GREY.T[:, ::-1]], 2)


def pillow(kind: str, mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    picture = Image.fromarray(_SOFT)
    (picture.quantize(32) if mode == "P" else picture.convert(mode)).save(out, kind, **options)
    return out.getvalue()


def tiff(array: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)  # type: ignore[arg-type]
    return out.getvalue()


def frames(kind: str, **options: object) -> bytes:
    """Three pictures in one file."""
    first, *rest = (Image.fromarray(np.roll(_SOFT, 5 * turn, 0)) for turn in range(3))
    out = io.BytesIO()
    first.save(out, kind, save_all=True, append_images=rest, **options)
    return out.getvalue()


def nifti(dtype: type[np.generic], *, is_second: bool = False) -> bytes:
    """A volume of three slices; NIfTI-2 with ``is_second``."""
    import nibabel

    kind: Any = nibabel.Nifti2Image if is_second else nibabel.Nifti1Image
    return bytes(kind(_VOLUME.astype(dtype), np.diag([2, 3, 4, 1])).to_bytes())


def volume_nrrd(encoding: str, dtype: type[np.generic] = np.int16) -> bytes:
    import nrrd

    out = io.BytesIO()
    turned = {"space": "left-posterior-superior", "space directions": np.diag([2.0, 3, 4]), "encoding": encoding}
    nrrd.write(out, _VOLUME.astype(dtype), turned)
    return out.getvalue()


def dicom(syntax: str, frames: list[bytes] | bytes, *, bits: int = 8, samples: int = 1, count: int = 1) -> bytes:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID("1.2.840.10008.5.1.4.1.1.2"), UID("1.2.3")
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.Rows, made.Columns, made.SamplesPerPixel = 40, 56, samples
    made.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit, made.PixelRepresentation = bits - 1, 0
    made.WindowCenter, made.WindowWidth = 128 << (bits - 8), 256 << (bits - 8)
    if count > 1:
        made.NumberOfFrames = count
    made.PixelData = frames if isinstance(frames, bytes) else encapsulate(frames)
    made["PixelData"].VR = "OB" if bits == 8 else "OW"
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def compressed_dicom(write: Callable[[pydicom.Dataset], None]) -> bytes:
    made = pydicom.dcmread(io.BytesIO(dicom(pydicom.uid.ExplicitVRLittleEndian, _GREY.tobytes())))
    write(made)
    out = io.BytesIO()
    made.save_as(out)
    return out.getvalue()


FORMATS: dict[str, Callable[[], list[bytes]]] = {
    "png": lambda: [pillow("PNG"), pillow("PNG", "P"), pillow("PNG", "LA"), pillow("PNG", "I;16")],
    "deep-png": lambda: [_deep_png()],
    "jpeg": lambda: [pillow("JPEG"), pillow("JPEG", "L", progressive=True), pillow("JPEG", "CMYK")],
    "gif": lambda: [pillow("GIF", "P"), pillow("GIF", "P", interlace=0), frames("GIF"), frames("GIF", disposal=2)],
    "bmp": lambda: [pillow("BMP"), pillow("BMP", "P"), pillow("BMP", "1")],
    "webp": lambda: [pillow("WEBP"), pillow("WEBP", lossless=True), pillow("WEBP", "RGBA")],
    "tiff": lambda: [
        tiff(_SOFT, photometric="rgb"),
        tiff(_SOFT, photometric="rgb", compression="lzw", predictor=True),
        tiff(_GREY, compression="zlib", tile=(16, 16)),
        tiff(_SOFT, photometric="rgb", compression="jpeg"),
        tiff(_DEEP, photometric="rgb", compression="zlib"),
        tiff(_GREY.astype(np.float32), predictor=3, compression="zlib"),
        pillow("TIFF", "1", compression="group4"),
        pillow("TIFF", compression="packbits"),
        tiff(np.stack([_GREY, _GREY[::-1]]), compression="zlib", photometric="minisblack"),
        tiff(np.stack([_DEEP, _DEEP[::-1]]), photometric="rgb", compression="lzw"),
        frames("TIFF", compression="jpeg"),
    ],
    "jpeg2000": lambda: [pillow("JPEG2000"), pillow("JPEG2000", "L", irreversible=True)],
    "avif": lambda: [pillow("AVIF")],
    "apng": lambda: [frames("PNG"), frames("PNG", blend=1)],
    "pnm": lambda: [pillow("PPM"), pillow("PPM", "L"), b"P2 3 2 255 1 2 3 4 5 6\n"],
    "pcx": lambda: [pillow("PCX"), pillow("PCX", "P")],
    "dicom": lambda: [
        dicom(pydicom.uid.ExplicitVRLittleEndian, _GREY.tobytes()),
        dicom(pydicom.uid.ImplicitVRLittleEndian, _DEEP[..., 0].tobytes(), bits=16),
        dicom(pydicom.uid.DeflatedExplicitVRLittleEndian, _GREY.tobytes()),
        dicom(pydicom.uid.JPEGBaseline8Bit, [pillow("JPEG", "L")]),
        dicom(pydicom.uid.JPEGBaseline8Bit, [pillow("JPEG")], samples=3),
        dicom(pydicom.uid.JPEG2000Lossless, [pillow("JPEG2000", "L", no_jp2=True)]),
        compressed_dicom(lambda made: made.compress(pydicom.uid.RLELossless)),
    ],
    "dicom-frames": lambda: [
        dicom(pydicom.uid.ExplicitVRLittleEndian, _GREY.tobytes() * 3, count=3),
        dicom(pydicom.uid.ImplicitVRLittleEndian, _DEEP[..., 0].tobytes() * 2, bits=16, count=2),
        dicom(pydicom.uid.JPEGBaseline8Bit, [pillow("JPEG", "L")] * 3, count=3),
        dicom(pydicom.uid.JPEG2000Lossless, [pillow("JPEG2000", "L", no_jp2=True)] * 2, count=2),
    ],
    "nifti": lambda: [nifti(np.int16), nifti(np.float32), nifti(np.uint8, is_second=True)],
    "nifti-gz": lambda: [gzip.compress(nifti(np.int16)), gzip.compress(nifti(np.float64), 1)],
    "nrrd": lambda: [volume_nrrd("raw"), volume_nrrd("gzip"), volume_nrrd("raw", np.uint8)],
    "mp4": lambda: [_video("mp4", "mp4v"), _video("mov", "MJPG")],
    "avi": lambda: [_video("avi", "MJPG"), _video("avi", "XVID")],
    "webm": lambda: [_video("webm", "VP80"), _video("webm", "VP90")],
}


SUFFIXES = {
    **{"deep-png": ".png", "apng": ".png", "jpeg": ".jpg", "tiff": ".tif", "jpeg2000": ".jp2", "pnm": ".ppm"},
    **{"dicom": ".dcm", "dicom-frames": ".dcm", "nifti": ".nii", "nifti-gz": ".nii.gz"},
}
_GZIP = b"\x1f\x8b"
SEVERAL = ("gif", "apng", "tiff", "dicom-frames", "nifti", "nifti-gz", "nrrd", "mp4", "avi", "webm")
"""Formats of several frames: the second is read, too."""
PLAIN = ("png", "deep-png", "apng", "jpeg")
"""Formats whose samples are also read as they are stored."""


def _video(kind: str, code: str) -> bytes:
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25.0, _SOFT.shape[1::-1])
        for shift in range(3):
            writer.write(np.roll(_SOFT, shift, 1))
        writer.release()
        return path.read_bytes()


def _deep_png() -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", _DEEP)[1])


def damaged(files: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """One of the files, with one to four damages; of a packed one mostly what is in it."""
    if files[0].startswith(_GZIP) and rng.random() < 0.8:
        return gzip.compress(damaged([gzip.decompress(file) for file in files], rng), 1)
    data = bytearray(files[int(rng.integers(len(files)))])
    for _ in range(int(rng.integers(1, 5))):
        if len(data) < 16:
            break
        # Heads decide about sizes and decoders: half of the damage goes there.
        end = len(data) if rng.random() < 0.5 else min(len(data), 400)
        at = int(rng.integers(0, end - 8))
        how = int(rng.integers(7))
        if how == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 1:
            data[at] = int(rng.integers(256))
        elif how == 2:
            width = int(rng.choice((1, 2, 4)))
            number = int(rng.choice(_NUMBERS)) % (1 << 8 * width)
            data[at : at + width] = number.to_bytes(width, "big" if rng.random() < 0.5 else "little")
        elif how == 3:
            del data[at : at + int(rng.integers(1, 40))]
        elif how == 4:
            data[at:at] = rng.bytes(int(rng.integers(1, 40)))
        elif how == 5:
            other = files[int(rng.integers(len(files)))]
            start = int(rng.integers(len(other)))
            data[at:at] = other[start : start + 60]
        else:
            del data[at + 8 :]
    if data.startswith(b"\x89PNG") and rng.random() < 0.8:
        _mend_png(data)
    return bytes(data)


def _mend_png(data: bytearray) -> None:
    """Right check sums, so that the damage gets as far as the decoder."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4


@dataclass
class Findings:
    """What the cases of a format came to.

    Attributes:
        ends: "image", "refused", or how the reader ended ("crashed", "too slow", "memory", ...), by count.
        slowest_s: the longest case by the clock.
        wrong: cases that were neither an image nor a sentence; there must be none.
        ended: cases whose reader ended, with the message.
    """

    ends: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)


def make_pool() -> ReaderPool:
    return ReaderPool(1, base_cpu_s=CPU_S)


def run(name: str, cases: int, *, pool: ReaderPool, seed: int = 0, folder: Path, keep: Path | None = None) -> Findings:
    """Read ``cases`` damaged files of a format, each in several ways."""
    files, findings = FORMATS[name](), Findings()
    budget.set_limit_bytes(LIMIT_BYTES)
    path = folder / f"case{SUFFIXES.get(name, '.' + name)}"
    try:
        for number in range(cases):
            data = damaged(files, np.random.default_rng((seed, number)))
            path.write_bytes(data)
            begun = time.monotonic()
            for what in _ways(name):
                end, message = _read(pool, what, path)
                findings.ends[end] += what == "load"
                case = f"{name} {seed} {number} ({what})"
                if end == "wrong":
                    findings.wrong.append(f"{case}: {message}")
                elif end not in ("image", "refused"):
                    findings.ended.append((case, message))
                    if keep is not None:
                        (keep / f"{name}-{seed}-{number}-{end.replace(' ', '-')}").write_bytes(data)
            findings.slowest_s = max(findings.slowest_s, time.monotonic() - begun)
    finally:
        budget.set_limit_bytes(None)
    return findings


_SIGNS = {
    "ended the process": "crashed",
    "seconds of computing": "too slow",
    "more memory than": "memory",
    "system": "?",
}
_ARGUMENTS: dict[str, dict[str, object]] = {
    "size": {},
    "survey": {"within_s": 0.3},
    "thumbnail": {"max_side": 224, "max_pixels": MAX_PIXELS},
    "stored": {"is_grey": True, "max_pixels": MAX_PIXELS},
    "load": {"frame": 0, "max_pixels": MAX_PIXELS, "is_native": True},
    "next": {"frame": 1, "max_pixels": MAX_PIXELS},
}


def _ways(name: str) -> list[str]:
    """What a file of this format is asked for."""
    left_out = ("stored",) * (name not in PLAIN) + ("next",) * (name not in SEVERAL)
    return [what for what in _ARGUMENTS if what not in left_out]


def _read(pool: ReaderPool, what: str, path: Path) -> tuple[str, str]:
    try:
        answer = pool.ask("load" if what == "next" else what, str(path), **_ARGUMENTS[what])
    except ImageError as error:
        if path.name not in error.message or "\n" in str(error):
            return "wrong", str(error)
        return next((end for sign, end in _SIGNS.items() if sign in error.message), "refused"), str(error)
    except Exception as error:  # a bug of a reader, or of ours
        return "wrong", str(error)
    if answer.file is not None:
        os.close(answer.file)
    return "image", ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Read damaged image files.")
    parser.add_argument("--cases", type=int, default=3000, help="a format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--keep", type=Path, help="folder for files that ended their reader")
    options = parser.parse_args()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    is_wrong = False
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ANNOTATOR_HOME"] = folder
        for name in options.formats:
            pool = make_pool()
            try:
                found = run(name, options.cases, pool=pool, seed=options.seed, folder=Path(folder), keep=options.keep)
            finally:
                pool.close()
            ends = ", ".join(f"{count} {end}" for end, count in found.ends.most_common())
            print(f"{name}: {ends}; slowest {found.slowest_s:.1f} s", flush=True)
            for case, message in found.ended:
                if "more memory" not in message:
                    print(f"    {case}: {message}", flush=True)
            for line in found.wrong:
                print(f"    WRONG {line}", flush=True)
            is_wrong = is_wrong or bool(found.wrong)
    return 1 if is_wrong else 0


if __name__ == "__main__":
    sys.exit(main())
