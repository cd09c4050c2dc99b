"""How long a question about similar objects takes among a hundred thousand. Times belong to the machine."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from annotator.domain.likeness.describe import LENGTH
from annotator.domain.likeness.neighbours import Neighbours

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
OBJECTS = int(os.environ.get("BENCH_OBJECTS", "100000"))


def test_a_question_among_many_objects() -> None:
    rng = np.random.default_rng(0)
    units = rng.normal(size=(OBJECTS, LENGTH)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    ids = np.arange(OBJECTS, dtype=np.int64)
    index = Neighbours(ids, ids // 50, ids % 4, units)
    took_ms = []
    for one in rng.integers(0, OBJECTS, 30).tolist():
        started = time.perf_counter()
        found = index.like(int(one), 60)
        took_ms.append((time.perf_counter() - started) * 1e3)
        assert len(found) == 60
    print(f"\n{OBJECTS} objects: {np.median(took_ms):.1f} ms a question, {max(took_ms):.1f} ms at most")
