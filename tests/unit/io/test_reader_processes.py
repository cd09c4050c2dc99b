"""Images are read in processes of their own: a bad file ends one of them, never the program. Real decoders."""

from __future__ import annotations

import io
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from annotator.domain import budget
from annotator.domain.errors import ImageError
from annotator.io.images import asking, decoding, process, trouble
from annotator.io.images import pool as images_pool
from annotator.io.images.pool import ReaderPool
from annotator.io.images.reading import load_image, load_thumbnail, read_size

NOISE = np.random.default_rng(0).integers(0, 255, (700, 900, 3), dtype=np.uint8)
CT = "1.2.840.10008.5.1.4.1.1.2"
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def jpeg_dicom(path: Path, *, is_damaged: bool = True) -> Path:
    """A compressed DICOM; with three bytes too many in a Huffman table, GDCM throws and the process aborts."""
    grey = io.BytesIO()
    Image.fromarray(NOISE[:20, :24, 0]).save(grey, "JPEG")
    data = grey.getvalue()
    assert b"\x88\x89\x8a\x92" in data
    if is_damaged:
        data = data.replace(b"\x88\x89\x8a\x92", b"\x88\x89\x40\xa4\x5b\x8a\x92")
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.JPEGBaseline8Bit
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT, "1.2.3"
    made = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = CT, "1.2.3"
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 20, 24, 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = encapsulate([data])
    made["PixelData"].VR = "OB"
    made.save_as(path, enforce_file_format=True)
    return path


def blank_png(path: Path, side: int) -> Path:
    """Grey, small on the disk, ``side`` squared bytes of work."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def blank_tiff(path: Path, side: int) -> Path:
    """Grey, a hole in the disk, ``side`` squared bytes of memory."""
    tifffile.memmap(path, shape=(side, side), dtype=np.uint8)
    return path


def photo(path: Path) -> Path:
    Image.fromarray(NOISE).save(path)
    return path


@pytest.fixture
def pool() -> Iterator[ReaderPool]:
    made = ReaderPool(2)
    yield made
    made.close()


@pytest.fixture
def with_limit() -> Iterator[None]:
    """The limit is given back."""
    yield
    budget.set_limit_bytes(None)


def script(code: str, *arguments: object, cwd: Path | None = None, **more: str) -> subprocess.Popen[str]:
    """A program of its own that uses the readers."""
    command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=os.environ | more, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for_end(pid: int) -> None:
    """Of a process that may not be our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], 30)[0], f"{pid} still runs"
    finally:
        os.close(handle)


# --- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("over_pipes", [False, True])
def test_pixels_come_as_they_were_decoded(tmp_path: Path, over_pipes: bool) -> None:
    files = [photo(tmp_path / "large.png"), tmp_path / "small.jpg", tmp_path / "turned.jpg", tmp_path / "deep.tif"]
    Image.fromarray(NOISE[:60, :80]).save(files[1])
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(NOISE).save(files[2], exif=turned)
    tifffile.imwrite(files[3], NOISE[..., 0].astype(np.uint16) * 200)
    pool = ReaderPool(1, over_pipes=over_pipes)
    try:
        for file in files:
            here = decoding.load_image(file)
            answer = pool.ask("load", str(file), frame=0, max_pixels=10**8)
            assert (answer.file is not None) == (not over_pipes and file.name != "small.jpg")
            assert np.array_equal(asking.pixels_of(answer), here.rgb)
            assert answer.data["image_key"] == here.image_key
            there = load_image(file)
            assert np.array_equal(there.rgb, here.rgb)
            assert there.rgb.flags.c_contiguous
            assert not there.rgb.flags.writeable
            assert (there.width, there.height, there.note, there.sha256, there.extra, there.spacing_mm) == (
                *(here.width, here.height, here.note, here.sha256, here.extra, here.spacing_mm),
            )
    finally:
        pool.close()


@on_linux
def test_a_program_that_keeps_many_images_keeps_few_files_open(tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    Image.fromarray(NOISE).save(path)
    before = len(os.listdir("/proc/self/fd"))
    kept = [load_image(path) for _ in range(70)]
    assert len(os.listdir("/proc/self/fd")) - before < 68
    assert all(np.array_equal(one.rgb, NOISE) for one in kept)
    del kept
    assert len(os.listdir("/proc/self/fd")) - before < 5


def test_many_threads_share_few_processes(tmp_path: Path, pool: ReaderPool) -> None:
    good, bad = photo(tmp_path / "a.bmp"), jpeg_dicom(tmp_path / "bad.dcm")
    wrong: list[object] = []

    def read(number: int) -> None:
        for _ in range(2):
            if number == 0:
                with pytest.raises(ImageError):
                    pool.ask("load", str(bad), frame=0, max_pixels=10**8)
            elif not np.array_equal(
                asking.pixels_of(pool.ask("load", str(good), frame=0, max_pixels=10**8)), NOISE
            ):  # pragma: no cover
                wrong.append(number)
            if len(pool.pids()) > 2:  # pragma: no cover
                wrong.append("too many")

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- bad files -------------------------------------------------------------------------------------------------------


def test_a_file_that_aborts_its_reader_is_a_sentence(tmp_path: Path) -> None:
    bad, good = jpeg_dicom(tmp_path / "bad.dcm"), jpeg_dicom(tmp_path / "good.dcm", is_damaged=False)
    with pytest.raises(ImageError, match=r"bad\.dcm is damaged: it ended the process"):
        load_image(bad)
    assert load_image(good).width == 24
    assert read_size(bad) == (24, 20), "the header is sound"


def test_a_file_that_never_ends_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """144 MB to inflate, and no more time for them than for the small one: several times too little on any machine."""
    monkeypatch.setattr(images_pool, "CPU_S_PER_MB", 0.0)
    pool = ReaderPool(1, base_cpu_s=0.05)
    path = blank_png(tmp_path / "long.png", 12_000)
    try:
        with pytest.raises(ImageError, match=r"long\.png is damaged: reading it takes more than"):
            pool.ask("load", str(path), frame=0, max_pixels=10**9)
        small = blank_png(tmp_path / "small.png", 50)
        assert pool.ask("size", str(small)).data["size"] == [50, 50]
    finally:
        pool.close()


@on_linux
def test_a_file_that_takes_all_memory_is_a_sentence(tmp_path: Path, pool: ReaderPool, with_limit: None) -> None:
    """Whatever a decoder allocates: the system refuses it. (That our own estimate comes first is tested elsewhere.)"""
    path = blank_tiff(tmp_path / "a.tif", 24_000)
    budget.set_limit_bytes(100 << 20)
    with pytest.raises(ImageError, match=r"a\.tif needs .* memory.* limit"):
        pool.ask("load", str(path), frame=0, max_pixels=10**9)
    assert pool.ask("size", str(path)).data["size"] == [24_000, 24_000]


def test_a_read_can_be_interrupted(tmp_path: Path, pool: ReaderPool) -> None:
    path = blank_tiff(tmp_path / "long.tif", 30_000)
    said: list[str] = []

    def read() -> None:
        with pytest.raises(ImageError) as caught:
            pool.ask("load", str(path), frame=0, max_pixels=10**9)
        said.append(caught.value.message)

    thread = threading.Thread(target=read)
    thread.start()
    while not pool.pids():
        pass
    pool.interrupt()
    thread.join()
    assert len(said) == 1
    assert "stopped" in said[0]


@on_linux
def test_a_reader_that_was_killed_while_idle_is_replaced(tmp_path: Path, pool: ReaderPool) -> None:
    path = str(photo(tmp_path / "a.png"))
    pool.ask("size", path)
    (pid,) = pool.pids()
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert pool.ask("size", path).data["size"] == [900, 700]
    assert pool.pids() != [pid]


# --- files that ended their reader -----------------------------------------------------------------------------------


def test_a_file_that_ended_its_reader_is_skipped_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = jpeg_dicom(tmp_path / "bad.dcm")
    with pytest.raises(ImageError, match="ended the process"):
        load_image(path)
    monkeypatch.setattr(ReaderPool, "ask", lambda *_: pytest.fail("it was read again"))
    for ask in (load_image, load_thumbnail):
        with pytest.raises(ImageError, match=r"bad\.dcm is skipped") as caught:
            ask(path)
        assert str(trouble.list_path()) in caught.value.advice
    # Another start of the program knows it as well.
    code = "import sys; from annotator.io.images.reading import load_image; load_image(sys.argv[1])"
    later = script(code, path)
    assert "bad.dcm is skipped" in later.communicate()[1]
    monkeypatch.undo()


def test_a_changed_file_and_a_newer_decoder_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = jpeg_dicom(tmp_path / "bad.dcm")
    trouble.remember(str(path), "load", trouble.CRASHED)
    with pytest.raises(ImageError, match="is skipped"):
        trouble.check(str(path), "load")
    with monkeypatch.context() as later:
        later.setattr(trouble, "decoder_versions", lambda: "gdcm 99")
        trouble.check(str(path), "load")
    jpeg_dicom(path, is_damaged=False)
    assert load_image(path).width == 24


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b'{"/a.png": 3}'])
def test_a_damaged_list_is_no_reason_not_to_read(tmp_path: Path, content: bytes) -> None:
    path = photo(tmp_path / "a.png")
    trouble.list_path().write_bytes(content)
    assert load_image(path).width == 900
    trouble.remember(str(path), "load", trouble.TOO_SLOW)
    with pytest.raises(ImageError, match="took too long"):
        load_image(path)
    assert read_size(path) == (900, 700)


def test_the_list_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "KEPT", 3)
    paths = [str(photo(tmp_path / f"{number}.png")) for number in range(5)]
    for path in paths:
        trouble.remember(path, "load", trouble.CRASHED)
    trouble.check(paths[1], "load")
    for path in paths[2:]:
        with pytest.raises(ImageError, match="is skipped"):
            trouble.check(path, "load")


# --- the processes ---------------------------------------------------------------------------------------------------

READ = """
import sys
from annotator.io.images import asking, reading
reading.load_image(sys.argv[1])
print(*asking.pool().pids(), flush=True)
"""


@on_linux
def test_readers_end_with_the_program_also_when_it_is_killed(tmp_path: Path) -> None:
    program = script(READ + "sys.stdin.read(); input()", photo(tmp_path / "a.png"), PYTHONUNBUFFERED="1")
    assert program.stdout is not None
    (pid,) = map(int, program.stdout.readline().split())
    program.kill()
    program.communicate()
    wait_for_end(pid)


@on_linux
def test_readers_end_with_a_killed_program_in_the_middle_of_a_picture(tmp_path: Path) -> None:
    busy = """
import sys, threading
from annotator.io.images import asking, reading
reading.read_size(sys.argv[1])
threading.Thread(target=reading.load_image, args=(sys.argv[1],), daemon=True).start()
print(*asking.pool().pids(), flush=True)
threading.Event().wait()
"""
    program = script(busy, blank_tiff(tmp_path / "long.tif", 20_000))
    assert program.stdout is not None
    (pid,) = map(int, program.stdout.readline().split())
    program.kill()
    program.communicate()
    wait_for_end(pid)


@on_linux
def test_a_program_that_ends_leaves_nothing_behind(tmp_path: Path) -> None:
    shared = set(os.listdir("/dev/shm"))
    program = script(READ, photo(tmp_path / "a.png"), PYTHONWARNINGS="error", PYTHONDEVMODE="1")
    out, complaints = program.communicate()
    assert program.returncode == 0
    assert complaints == ""
    for pid in out.split():
        wait_for_end(int(pid))
    assert set(os.listdir("/dev/shm")) <= shared


@on_linux
def test_readers_import_nothing_from_the_folder_and_neither_torch_nor_qt(tmp_path: Path) -> None:
    for name in ("json", "numpy", "annotator", "sitecustomize", "PIL"):
        (tmp_path / f"{name}.py").write_text("import sys, os; os._exit(3)")
    code = READ + "print(open(f'/proc/{asking.pool().pids()[0]}/maps').read())"
    program = script(code, photo(tmp_path / "a.png"), cwd=tmp_path)
    out, complaints = program.communicate()
    assert program.returncode == 0, complaints
    assert "libpng" in out or "_imaging" in out
    assert "libtorch" not in out
    assert "Qt6" not in out


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_program_gets_readers_of_its_own(tmp_path: Path) -> None:
    code = """
import os, sys
from annotator.io.images import asking, reading
before = reading.load_image(sys.argv[1]).sha256
if (copy := os.fork()) == 0:
    os._exit(0 if reading.load_image(sys.argv[1]).sha256 == before else 1)
assert os.waitpid(copy, 0)[1] == 0
assert reading.load_image(sys.argv[1]).sha256 == before
"""
    program = script(code, photo(tmp_path / "a.png"))
    assert program.communicate() == ("", "")
    assert program.returncode == 0


def test_a_reader_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(photo(tmp_path / "a.png"))
    pool = ReaderPool(1)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(ImageError, match=r"cannot be started \(No such file"):
        pool.ask("size", path)
    monkeypatch.undo()
    monkeypatch.setattr(process, "CHILD", "annotator.io.images.not_there")
    with pytest.raises(ImageError, match="No module named"):
        pool.ask("size", path)
    monkeypatch.undo()
    assert pool.ask("size", path).data["size"] == [900, 700]
    pool.close()
    with pytest.raises(ImageError, match="ending"):
        pool.ask("size", path)
