"""Videos: every frame is the right one in any order, and what is no video is refused before it is decoded."""

from __future__ import annotations

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from annotator.domain.errors import ImageError
from annotator.io.images import decoding, frame_store, video
from annotator.io.images.frame_source import open_frames
from annotator.io.images.frame_store import FrameStore, VideoFacts
from annotator.io.images.reading import is_supported, list_images, load_image, load_thumbnail, survey_files
from annotator.io.images.video import is_video
from annotator.io.images.video_boxes import is_cut_off
from annotator.io.project.store import ProjectStore

WIDTH, HEIGHT, BITS = 128, 96, 8
CUT_OFF = "cut off: the frames that follow are missing"
KINDS = {"a.mp4": "mp4v", "a.avi": "MJPG", "b.avi": "XVID", "a.mkv": "mp4v", "a.webm": "VP80"}


def picture(number: int) -> np.ndarray:
    """The number in black and white blocks, which survive any codec."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for bit in range(BITS):
        image[32:64, bit * 16 : bit * 16 + 16] = 255 if number >> bit & 1 else 0
    return image


def number_in(rgb: np.ndarray) -> int:
    return sum(1 << bit for bit in range(BITS) if rgb[48, bit * 16 + 8].mean() > 127)


def write_video(path: Path, code: str, frames: int = 60) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 25.0, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for number in range(frames):
        writer.write(picture(number))
    writer.release()
    return path


@pytest.mark.parametrize(("name", "code"), KINDS.items())
def test_frames_are_the_right_ones_in_any_order(tmp_path: Path, name: str, code: str) -> None:
    path = write_video(tmp_path / name, code)
    survey = survey_files(tmp_path, [name])[name]
    assert (survey.frames, survey.size_wh) == (60, (WIDTH, HEIGHT))
    order = random.Random(3).sample(range(60), 25)
    keys = set()
    for frame in order:
        image = load_image(path, frame=frame)
        assert number_in(image.rgb) == frame
        assert f"frame {frame + 1} of 60" in image.note
        keys.add(image.image_key)
    assert len(keys) == len(order)
    assert f"at {order[-1] / 25:.2f} s" in image.note
    assert np.array_equal(load_image(path, frame=order[0]).rgb, load_image(path, frame=order[0]).rgb)
    assert load_thumbnail(path, frame=7, max_side=64).shape == (48, 64, 3)


def test_after_a_jump_ahead_steps_back_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.avi", "MJPG", 120)
    assert number_in(decoding.load_image(path, frame=0).rgb) == 0
    assert number_in(decoding.load_image(path, frame=100).rgb) == 100
    opens: list[str] = []
    real = video._open
    monkeypatch.setattr(video, "_open", lambda stream, name: opens.append(name) or real(stream, name))
    assert [number_in(decoding.load_image(path, frame=frame).rgb) for frame in (95, 80, 101)] == [95, 80, 101]
    assert opens == [], "a gigabyte is decoded anew from its first frame"


def test_what_is_shown_first_is_what_was_stored(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", "mp4v", 30)
    first = decoding.load_image(path, frame=20)  # in this process: whatever answers, the store is the same
    again = load_image(path, frame=20)
    assert np.array_equal(first.rgb, again.rgb)
    assert first.image_key == again.image_key


def test_a_damaged_store_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_video(tmp_path / "a.mp4", "mp4v", 20)
    assert number_in(decoding.load_image(path, frame=9).rgb) == 9
    files = sorted((tmp_path / "cache").rglob("*.jpg"))
    assert len(files) == 10
    for file in files:
        file.write_bytes(b"")
    for facts in (tmp_path / "cache").rglob("video.json"):
        facts.write_text('{"width": 3')
    assert number_in(decoding.load_image(path, frame=9).rgb) == 9
    assert number_in(decoding.load_image(path, frame=2).rgb) == 2


def test_a_full_disk_shows_frames_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", "mp4v", 20)

    def full(*_what: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(frame_store, "write_atomic", full)
    assert [number_in(decoding.load_image(path, frame=frame).rgb) for frame in (5, 17, 3)] == [5, 17, 3]


def test_the_store_keeps_to_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = [FrameStore((number,), root=tmp_path) for number in range(4)]
    monkeypatch.setattr(frame_store, "MOST_BYTES", 1)
    for store in stores:
        store.keep(0, picture(1))
        store.keep_facts(VideoFacts(WIDTH, HEIGHT, (0.0,)))
    assert [store.has(0) for store in stores] == [False, False, False, True]


@pytest.mark.parametrize("kept", [0.3, 0.7])
def test_a_video_that_is_cut_off_gives_the_frames_that_it_has(tmp_path: Path, kept: float) -> None:
    whole = write_video(tmp_path / "a.avi", "MJPG").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: int(len(whole) * kept)])
    frames = survey_files(tmp_path, ["cut.avi"])["cut.avi"].frames
    assert 2 < frames < 60
    assert survey_files(tmp_path, ["cut.avi"])["cut.avi"].notes == (CUT_OFF,)
    assert number_in(load_image(tmp_path / "cut.avi", frame=frames - 2).rgb) == frames - 2
    with pytest.raises(ImageError, match="there is no frame"):
        load_image(tmp_path / "cut.avi", frame=frames)


@pytest.mark.parametrize(("name", "code"), KINDS.items())
def test_the_container_says_that_it_is_cut_off(tmp_path: Path, name: str, code: str) -> None:
    path = write_video(tmp_path / name, code)
    whole = path.read_bytes()
    for data, is_cut in (
        (whole, False),
        (whole + bytes(9), False),
        (whole[:-1], True),
        (whole[: len(whole) // 2], True),
    ):
        path.write_bytes(data)
        with path.open("rb") as stream:
            assert is_cut_off(stream) is is_cut, len(data)


@pytest.mark.parametrize(
    ("data", "is_cut"),
    [
        (b"", False),
        (b"RIFF", False),
        (b"RIFF\0\0\0\0AVI " + bytes(40), False),
        (b"RIFF\xff\xff\xff\xffAVI " + bytes(40), False),
        (b"RIFF\x04\0\0\0AVI RIFF\x08\0\0\0AVIX", True),
        (b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\0mdat" + bytes(9), False),
        (b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\1mdat" + (99).to_bytes(8, "big"), True),
        (b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x07mdat", False),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(9), False),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x40\x09" + bytes(8), True),
        (b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x40\x08" + bytes(8), False),
        (b"\x1a\x45\xdf\xa3\0", False),
        (b"\0\0\1\xba" + bytes(40), False),
    ],
)
def test_lengths_of_containers(tmp_path: Path, data: bytes, *, is_cut: bool) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with path.open("rb") as stream:
        assert is_cut_off(stream) is is_cut


def test_what_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "a.mp4", "mp4v").read_bytes()
    (tmp_path / "head.mp4").write_bytes(whole[:1000])
    (tmp_path / "sound.mp4").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(40))
    (tmp_path / "list.mp4").write_bytes(b"#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    (tmp_path / "one.mp4").write_bytes(b"\0")
    for name, says in (
        ("head.mp4", "no picture that can be decoded"),
        ("sound.mp4", "not a video"),
        ("list.mp4", "not a video"),
        ("one.mp4", "not a video"),
    ):
        with pytest.raises(ImageError, match=says):
            load_image(tmp_path / name)
        with pytest.raises(ImageError, match=says):
            open_frames(tmp_path / name)


def test_still_pictures_in_the_same_box_are_none() -> None:
    assert is_video(b"\0\0\0\x20ftypisom\0\0\2\0")
    assert not is_video(b"\0\0\0\x20ftypheic\0\0\2\0")
    assert not is_video(b"\0\0\0\x20ftypavif\0\0\2\0")


def test_a_folder_of_videos_is_a_project_of_frames(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_video(folder / "a.mp4", "mp4v", 12)
    write_video(folder / "b.avi", "MJPG", 5)
    assert list_images(folder) == ["a.mp4", "b.avi"]
    assert is_supported(folder / "a.mp4")
    with ProjectStore.open_folder(folder) as store:
        images = store.images()
        assert [(image.path, image.frame) for image in images] == [
            *(("a.mp4", frame) for frame in range(12)),
            *(("b.avi", frame) for frame in range(5)),
        ]
        assert len({image.series_id for image in images}) == 2


def test_a_series_outside_of_a_project(tmp_path: Path) -> None:
    source = open_frames(write_video(tmp_path / "a.mp4", "mp4v", 6))
    assert (len(source), source.is_video) == (6, True)
    assert [number_in(source.read(at).rgb) for at in (4, 0, 5)] == [4, 0, 5]
    assert json.dumps(source.name(3))


def test_a_video_that_is_late_does_not_keep_what_it_passes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = write_video(tmp_path / "a.mp4", "mp4v", 60)
    shown = [number_in(decoding.load_image(path, frame=frame).rgb) for frame in (0, 20, 40, 58)]
    assert shown == [0, 20, 40, 58]
    assert len(list((tmp_path / "cache").rglob("*.jpg"))) == 1 + 3 * 5
    assert [number_in(decoding.load_image(path, frame=frame).rgb) for frame in (30, 29, 12)] == [30, 29, 12]
