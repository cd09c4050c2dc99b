"""SIGKILL at the very moment of a report, with the real model: what the window has said is in the project file.

Everything that tells of an accepted object is listed in ``report_driver``: the change that all views follow, the quiet
line, the row and the number in the list, the paint, and the two that are said before there is a mask: that an accept
was heard, and the dot of a click.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from annotator.domain.drafts.kept import accepted_of, work_of
from annotator.io.project.store import ProjectStore
from tests.e2e.report_driver import REPORTS
from tests.e2e.test_kill import EMBEDDED, check_file, folder
from tests.e2e.warm import Warm

__all__ = ["folder"]  # a fixture
QUICK = ("line", "waiting")

pytestmark = [
    pytest.mark.skipif(not EMBEDDED, reason="the embedded model is not in this checkout"),
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
]


@pytest.mark.parametrize(
    "report", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in REPORTS]
)
def test_what_was_reported_survives_a_kill_at_that_moment(warm: Warm, folder: Path, report: str) -> None:
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    env.pop("ANNOTATOR_CHECKPOINTS", None)  # the bundled ones
    process = warm.start("report_driver", str(folder), report, env=env, stderr=-1)
    with process.stdout:
        printed = process.stdout.read()
    assert process.wait() == -signal.SIGKILL, printed
    said = [line for line in printed.splitlines() if line.startswith("reported")]
    assert len(said) == 1, printed
    project = folder / "pictures.annot"
    check_file(project)
    with ProjectStore.open(project) as store:
        rows = list(store.all_annotations())
        kept = store.draft(1)
    if said == ["reported object"]:
        assert len(rows) == 2
        assert not accepted_of(kept)
        assert all(row.mask().area == row.area > 0 for row in rows)
    elif said == ["reported accept"]:
        assert len(rows) + len(accepted_of(kept)) == 2
    else:
        assert len((work_of(kept) or {}).get("points", ())) == 1
