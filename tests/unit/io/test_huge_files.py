"""Files of gigabytes: the first picture does not wait for all of their bytes, and memory does not follow their size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from annotator.domain.window import Window
from annotator.io.images import decoding
from annotator.io.project.windows import WindowBook

GIB = 1 << 30
# Of each process itself: what the system counts for resource.getrusage begins with the size of the one that started it.
_PROGRAM = """
import os, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_DATA, (1 << 30, 1 << 30))  # its readers have it, too
from annotator.io.images.reading import load_image
from annotator.io.project.opened import open_project
opened = open_project(Path(sys.argv[1]))
image = next(one for one in opened.images if one.id == opened.first_id)
read = load_image(opened.store.image_path(image), frame=image.frame)
opened.store.close()
print(len(opened.images), image.frame, *read.rgb.shape, int(read.rgb.max()), flush=True)
peaks = []
for status in Path("/proc").glob("[0-9]*/status"):
    try:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
    except OSError:  # ended meanwhile
        continue
    if os.getpid() in (int(lines["Pid"]), int(lines["PPid"])) and "VmHWM" in lines:
        peaks.append(int(lines["VmHWM"].split()[0]) // 1024)
from annotator.io.images.asking import pool
pool().close()
print(len(peaks) > 1, max(peaks))
"""


def sparse_volume(path: Path) -> Path:
    """A NIfTI of 2 GiB that takes no room on the disk; the slice in the middle has something on it."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((1024, 1024, 1024))
    header.set_data_dtype(np.int16)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header.set_sform(np.eye(4), 1)
    with path.open("wb") as stream:
        stream.write(header.binaryblock)
        stream.truncate(352 + 2 * GIB)
        stream.seek(352 + GIB)
        stream.write(np.arange(1024 * 512, dtype="<i2").tobytes())
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are the system's own")
def test_a_volume_of_two_gigabytes_opens_on_one(tmp_path: Path) -> None:
    folder = tmp_path / "volume"
    folder.mkdir()
    sparse_volume(folder / "big.nii")
    environment = dict(os.environ, ANNOTATOR_HOME=str(tmp_path / "home"))
    command = [sys.executable, "-c", _PROGRAM, str(folder)]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    lines = told.splitlines()
    assert lines[0] == "1024 512 1024 1024 3 255"
    has_readers, most_mib = lines[1].split()
    assert has_readers == "True"
    assert int(most_mib) < 500


def test_a_huge_file_is_named_by_parts_of_it_and_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "HASHED_BYTES", 1000)
    for name, more in (("a", 0), ("b", 1)):
        data = np.arange(30 * 40 * 5, dtype=np.int16).reshape(30, 40, 5) + more
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), tmp_path / f"{name}.nii")
    first, second = (decoding.load_image(tmp_path / "a.nii", frame=frame) for frame in (0, 1))
    other = decoding.load_image(tmp_path / "b.nii", frame=0)
    assert (first.sha256, second.sha256) == ("", "")
    assert first.content == second.content != other.content
    assert len({first.image_key, second.image_key, other.image_key}) == 3
    assert first.image_key == decoding.load_image(tmp_path / "a.nii", frame=0).image_key
    book = WindowBook()
    book.keep(first, Window(100, 50))
    assert book.remembered(second) == book.remembered(first)
