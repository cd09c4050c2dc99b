"""What a rating network reads, and that it changes the order of the answers to one click, and of nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator.domain.answering.evidence import EVIDENCE, SEEN, evidence, judge_click, seen
from annotator.domain.answering.hypotheses import USUAL, Hypothesis, judge, pairwise_iou, rate
from annotator.domain.answering.rating_network import CLIPPED, LARGEST, RatingNetwork
from annotator.domain.answering.zoom import Region
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate
from annotator.domain.prompt import PointPrompt

WIDTH, HEIGHT, SIDE = 400, 300, 40
WHOLE, PIECE = Region(0, 0, WIDTH, HEIGHT), Region(50, 50, 150, 150)
CLICK = PointPrompt(80, 80)


def answer(x: int, y: int, w: int, h: int, *, region: Region = WHOLE, predicted: float = 0.8) -> Hypothesis:
    """A rectangle in image pixels, found in a piece."""
    logits = np.full((SIDE, SIDE), -4.0, np.float32)
    columns = [round((edge - region.x0) * SIDE / region.width) for edge in (x, x + w)]
    rows = [round((edge - region.y0) * SIDE / region.height) for edge in (y, y + h)]
    logits[slice(*rows), slice(*columns)] = 6.0
    return Hypothesis(Candidate(logits, predicted, 0.9, Mask(np.ones((h, w), np.bool_), x, y, WIDTH, HEIGHT)), region)


def answers() -> list[Hypothesis]:
    return [answer(60, 60, 40, 40), answer(61, 60, 40, 40, region=PIECE), answer(0, 0, 390, 290, predicted=0.85)]


def network(**columns: float) -> RatingNetwork:
    """One that adds so much for each of these columns."""
    nothing = np.zeros(len(EVIDENCE))
    direct = np.array([columns.get(name, 0.0) for name in EVIDENCE])
    return RatingNetwork(nothing, nothing + 1, np.zeros((len(EVIDENCE), 2)), np.zeros(2), np.zeros(2), direct)


def columns_of(found: list[Hypothesis], click: PointPrompt = CLICK) -> dict[str, np.ndarray]:
    overlaps = pairwise_iou([h.candidate.mask for h in found])
    table = evidence(seen(found, click, overlaps), rate(found, [click], overlaps=overlaps), overlaps)
    assert table.shape == (len(found), len(EVIDENCE))
    return dict(zip(EVIDENCE, table.T, strict=True))


def test_columns_say_what_their_names_say() -> None:
    columns = columns_of(answers())
    assert len(set(EVIDENCE)) == len(EVIDENCE)
    assert columns["predicted"].tolist() == [0.8, 0.8, 0.85]
    assert columns["log_area"] == pytest.approx(np.log(np.array([1600, 1600, 390 * 290]) / (WIDTH * HEIGHT)))
    assert columns["log_piece"] == pytest.approx([0.0, np.log(100 / 400), 0.0])
    assert columns["piece_share"] == pytest.approx([0.1, 0.4, 390 / 400])
    assert columns["fill"].tolist() == [1.0, 1.0, 1.0]
    assert columns["image_edges"].tolist() == [0.0, 0.0, 1.0]
    assert columns["click_inside"].tolist() == [1.0, 1.0, 1.0]
    assert columns["at_click"].tolist() == [0.75, 0.75, 0.75]
    assert columns["mean_inside"] == pytest.approx([0.75, 0.75, 0.75])
    assert columns["nearest_elsewhere"] == pytest.approx([39 / 41, 39 / 41, columns["nearest_elsewhere"][2]])
    assert columns["alike_elsewhere"].tolist() == [1.0, 0.5, 0.0]
    assert columns["area_rank"].tolist() == [0.0, 0.5, 1.0]
    assert columns["predicted_in_piece"] == pytest.approx([-0.05, 0.0, 0.0])
    assert columns["rating_to_best"].max() == 0.0
    best = int(columns["rating"].argmax())
    assert columns["overlap_with_best"][best] == 1.0
    assert columns["log_area_to_best"][best] == 0.0


def test_a_click_in_the_middle_is_deep_and_one_at_the_rim_is_not() -> None:
    middle, rim = (columns_of([answer(60, 60, 80, 80)], PointPrompt(x, 100)) for x in (100.5, 61))
    assert middle["click_depth_share"][0] > 0.8 > 0.4 > rim["click_depth_share"][0] > 0
    assert middle["click_off_centre"][0] < 0.02 < 0.4 < rim["click_off_centre"][0]


places = st.tuples(st.integers(0, 300), st.integers(0, 200), st.integers(1, 100), st.integers(1, 100), st.booleans())


@given(st.lists(places, min_size=1, max_size=8), st.floats(-500, 900), st.floats(-500, 900))
def test_evidence_is_finite_wherever_the_click_and_the_answers_lie(
    found: list[tuple[int, int, int, int, bool]], x: float, y: float
) -> None:
    many = [answer(*place, region=PIECE if is_piece else WHOLE) for *place, is_piece in found]
    overlaps = pairwise_iou([h.candidate.mask for h in many])
    known = seen(many, PointPrompt(x, y), overlaps)
    assert known.shape == (len(many), len(SEEN))
    assert np.isfinite(known).all()
    assert np.isfinite(evidence(known, rate(many, [CLICK], overlaps=overlaps), overlaps)).all()


def test_a_network_changes_the_order_of_the_answers_to_one_click_alone() -> None:
    found = answers()
    overlaps = pairwise_iou([h.candidate.mask for h in found])
    plain = judge(found, [CLICK], overlaps)
    assert plain.ratings.argmax() != 2
    calibration = replace(USUAL, network=network(log_area=1.0))
    judged = judge_click(found, [CLICK], overlaps, calibration)
    assert judged.ratings.argmax() == 2
    assert judged.expected_iou.tolist() == plain.expected_iou.tolist()
    for points in ([CLICK, PointPrompt(5, 5, False)], [CLICK, PointPrompt(90, 90)], [PointPrompt(80, 80, False)]):
        expected = judge(found, points, overlaps).ratings
        assert judge_click(found, points, overlaps, calibration).ratings.tolist() == expected.tolist()
    assert judge_click(found, [CLICK], overlaps, USUAL).ratings.tolist() == plain.ratings.tolist()


def test_hidden_units_bend_and_evidence_far_out_counts_no_more() -> None:
    one = np.ones(1)
    bent = RatingNetwork(one, 2 * one, np.array([[0.5, -1.0]]), np.array([0.1, 0.0]), np.array([2.0, 1.0]), 3 * one)
    z = (2.0 - 1.0) / 2.0
    expected = 2 * np.tanh(0.5 * z + 0.1) + np.tanh(-z) + 3 * z
    assert bent(np.array([[2.0]]))[0] == pytest.approx(expected)
    far = bent(np.array([[1 + 2 * CLIPPED], [1e6]]))
    assert far[0] == far[1]


@pytest.mark.parametrize("part", [field.name for field in fields(RatingNetwork)])
@pytest.mark.parametrize("fault", ["nan", "infinite", "huge", "shape"])
def test_a_network_of_damaged_numbers_is_none(part: str, fault: str) -> None:
    sound = network()
    values = np.array(getattr(sound, part))
    if fault == "shape":
        values = np.vstack([values, values]) if values.ndim == 2 else np.append(values, 1.0)
    else:
        values.flat[0] = {"nan": np.nan, "infinite": np.inf, "huge": 2 * LARGEST}[fault]
    with pytest.raises(ValueError, match="rating network"):
        replace(sound, **{part: values})


def test_a_spread_is_positive() -> None:
    with pytest.raises(ValueError, match="spread"):
        replace(network(), spread=np.zeros(len(EVIDENCE)))
