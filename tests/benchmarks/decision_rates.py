"""What is claimed about single backbones: gain, lead, claims and residual map, against planted tables."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from orchestrator.analysis.statistics.ranking.best_columns import LEVEL, beats, leads, residual_map
from orchestrator.analysis.statistics.ranking.decisions import coupling_gain
from tests.benchmarks.planted_tables import Noise, Plant, draw
from tests.benchmarks.rates import Rate, rate

CHECKERBOARDS = 5
"""Two-by-two blocks of + - - + in the residual map's sweeps: all other cells have no residual at all."""
CHECKERBOARD = 6.0
"""Their height, in standard deviations of an ordinary cell."""


def gain_rates(plant: Plant, number: int, seed: int) -> list[Rate]:
    """The coupling gain against what the same choices are worth on average, which the planted truth tells."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(number):
        planted = draw(plant, rng)
        gain = coupling_gain(planted.scores)
        assert gain is not None
        assert gain.cross_fitted is not None
        assert gain.low is not None
        assert gain.high is not None
        worth = _worth(planted.truth, planted.scores)
        knower = float(planted.truth.max(axis=1).mean() - planted.truth.mean(axis=0).max())
        found["error"].append(gain.cross_fitted - worth)
        found["worth"].append(worth)
        found["cross"].append(gain.cross_fitted)
        found["plug-in"].append(gain.plug_in - knower)
        found["knower"].append(knower)
        found["covered"].append(gain.low <= worth <= gain.high)
    where = f"{plant}, sigma_optimizer = {plant.optimizer:g}"
    knower = float(np.mean(found["knower"]))
    is_null = plant.interaction == 0 and plant.optimizer == 0  # then `knower` is 0
    return [
        rate("gain, cross-fitted, less its choices' worth", where, found["error"], "equals", 0.0),
        rate("gain, cross-fitted", where, found["cross"], "equals" if is_null else "at most", knower),
        rate("gain, plug-in, less the gain of one who knows", where, found["plug-in"], "above", 0.0),
        rate("gain's interval covers the worth", where, found["covered"], "at least", 0.95),
    ]


def _worth(truth: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    """Expected gain of choosing on all replicates but one, averaged over which one."""
    a, _, r = scores.shape
    gains = []
    for left in range(r):
        known = np.delete(scores, left, axis=2).mean(axis=2)
        own = truth[np.arange(a), known.argmax(axis=1)]
        gains.append(float((own - truth[:, known.mean(axis=0).argmax()]).mean()))
    return float(np.mean(gains))


def claim_rates(plant: Plant, number: int, seed: int) -> list[Rate]:
    """The lead's joint interval, its call "separated", and the chance of even one false claim."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(number):
        planted = draw(plant, rng)
        rows = leads(planted.scores)
        gaps = [_true_lead(planted.truth[lead.row], lead.best) for lead in rows]
        found["covered"].append(
            float(np.mean([(lead.low or 0) <= gap <= (lead.high or 0) for lead, gap in zip(rows, gaps, strict=True)]))
        )
        found["false"].append(
            float(np.mean([bool(lead.separated) and gap <= 0 for lead, gap in zip(rows, gaps, strict=True)]))
        )
        claims = beats(planted.scores)
        assert claims is not None
        wrong = [planted.truth[c.row, c.better] <= planted.truth[c.row, c.worse] for c in claims.claims]
        found["claims"].append(any(wrong))
    where = f"{plant}, sigma_optimizer = {plant.optimizer:g}"
    return [
        rate("lead's interval covers", where, found["covered"], "at least", 0.95),
        rate("called separated and not best", where, found["false"], "at most", 0.025),
        rate("some false claim", where, found["claims"], "at most", LEVEL),
    ]


def _true_lead(truth: NDArray[np.float64], best: int) -> float:
    return float(truth[best] - np.delete(truth, best).max())


def map_rates(size: tuple[int, int, int], noise: Noise, number: int, seed: int) -> list[Rate]:
    """The residual map's false discoveries: without interaction, and among five planted checkerboards."""
    rng = np.random.default_rng(seed)
    plant = Plant(rows=size[0], columns=size[1], replicates=size[2], noise=noise)
    any_false, share_false, found_share = [], [], []
    for _ in range(number):
        scores = draw(plant, rng).scores
        any_false.append(_discoveries(scores).any())
        planted = _checkerboards(size[0], size[1], rng)
        named = _discoveries(scores + planted[:, :, np.newaxis])
        share_false.append(float((named & (planted == 0)).sum() / max(1, named.sum())))
        found_share.append(float((named & (planted != 0)).sum() / (planted != 0).sum()))
    where = str(plant)
    return [
        rate("residual map: a discovery where there is none", where, any_false, "at most", LEVEL),
        rate("residual map: false share of discoveries", f"{where} + checkerboards", share_false, "at most", LEVEL),
        rate("residual map: planted cells found", f"{where} + checkerboards", found_share, "shown", None),
    ]


def _discoveries(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    found = residual_map(scores)
    assert found is not None
    return np.asarray(found.p_adjusted < LEVEL)


def _checkerboards(a: int, b: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shape (a, b): blocks that share no row and no column, so that rows and columns sum to 0."""
    table = np.zeros((a, b))
    number = min(CHECKERBOARDS, a // 2 - 1, b // 2 - 1) or 1
    rows, columns = rng.permutation(a), rng.permutation(b)
    for k in range(number):
        place = np.ix_(rows[2 * k : 2 * k + 2], columns[2 * k : 2 * k + 2])
        table[place] = CHECKERBOARD * np.array([[1.0, -1.0], [-1.0, 1.0]])
    return table
