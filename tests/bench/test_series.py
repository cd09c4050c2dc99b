"""A CT series of 200 slices in a fresh process: the first picture, and a step to the next slice. ``-m bench -s``."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.unit.io.dicom_builders import write_slice

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
SLICES, SIDE = 200, 512
PROGRAM = """
import os, sys, time
from pathlib import Path
from annotator.domain.errors import ModelError
from annotator.io.images.reading import warm_up
from annotator.io.settings import Settings
from annotator.ui.app import _SWITCH_INTERVAL_S, build_program, make_application

def no_model(_progress):
    raise ModelError("This bench has none.")

sys.setswitchinterval(_SWITCH_INTERVAL_S)
warm_up()  # as the program does, before its window is built
app = make_application()
program = build_program(Settings.load(Path(sys.argv[2])), no_model)
window = program.window
program.files.restore_window()  # as the program does: without it every panel is open
window.resize(1280, 800)
window.show()
app.processEvents()

turns_ms = []

def turn():
    begun = time.thread_time()
    app.processEvents()
    turns_ms.append((time.thread_time() - begun) * 1e3)
    time.sleep(0.001)  # with a time limit Qt would not wait for events: the waiting counted as the window's computing

begun, used = time.perf_counter(), time.process_time()
program.files.open_path(Path(sys.argv[1]))
while program.bench.picture is None:
    turn()
image = program.session.image
print(f"slice {image.position + 1} of {len(program.session.images)} after {time.perf_counter() - begun:.2f} s; "
      f"processor time of the window's process {time.process_time() - used:.2f} s")
def rest(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        turn()

def steps(name, by, count, hertz=0):
    gui_ms, wall_ms = [], []
    turns_ms.clear()
    started, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        while hertz and time.perf_counter() < started + number / hertz:
            turn()
        begun, used = time.perf_counter(), time.thread_time()
        program.session.step(by)
        turns_ms.append((time.thread_time() - used) * 1e3)
        while program.bench.picture is None:
            turn()
        turn()
        gui_ms.append((time.thread_time() - used) * 1e3)
        wall_ms.append((time.perf_counter() - begun) * 1e3)
    share = sum(ms < 16 for ms in wall_ms) / len(wall_ms)
    rate = count / (time.perf_counter() - started)
    print(f"{name}: {rate:.0f} steps a second, {share:.0%} of them under 16 ms by the clock; "
          f"processor time of the window's process {(time.process_time() - cpu) * 1e3 / count:.1f} ms a step")
    for what, found in (("GUI thread", gui_ms), ("clock", wall_ms)):
        found.sort()
        print(f"{name}, {what}: median {found[len(found) // 2]:.1f} ms, most {found[-1]:.1f}")
    print(f"longest events of all steps: {', '.join(f'{ms:.1f}' for ms in sorted(turns_ms)[:-5:-1])} ms")

to_end = len(program.session.images) - image.position - 1
steps("a key held at once, 60 a second", 1, to_end, 60)
rest(1)
steps("back again, 60 a second", -1, to_end, 60)
program.loader.clear()
steps("as quick as they come, not read before", -1, image.position)
program.loader.clear()
program.session.go_to(program.session.images[image.position].id)
while program.bench.picture is None:
    turn()
rest(5)
print(f"{len(program.loader._cache)} slices are in memory after 5 s at rest, {program.loader._bytes / 1e6:.0f} MB")
steps("a key held after 5 s at rest, 60 a second", 1, to_end, 60)
steps("as quick as they come", -1, to_end)
window.close()
app.processEvents()
sys.stdout.flush()
os._exit(0)
"""


def test_a_ct_series_of_200_slices(tmp_path):
    folder = tmp_path / "ct"
    folder.mkdir()
    noise = np.random.default_rng(0)
    for number in range(SLICES):
        pixels = noise.normal(500 + number, 60, (SIDE, SIDE)).clip(0, 2000).astype(np.uint16)
        write_slice(folder / f"{number * 7919 % 997:03d}.dcm", pixels, number=number, position=(0, 0, 1.25 * number))
    environment = dict(os.environ, ANNOTATOR_HOME=str(tmp_path / "home"), QT_QPA_PLATFORM="offscreen")
    command = [sys.executable, "-c", PROGRAM, str(folder), str(tmp_path / "settings.toml")]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300).stdout
    print(f"\n{told}")
    assert "slice 101 of 200" in told
