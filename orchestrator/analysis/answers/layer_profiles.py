"""Weight statistics along the depth of each cell's network, thinned so that a page of 400 cells stays light."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from orchestrator.analysis.answers.layers import LEAST_SIDE, measured_setting
from orchestrator.analysis.trials.cells import CellKey, by_cell
from orchestrator.store.schema import LayerRow, TrialRow

PLACES = 24
"""Points of a line, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerProfile:
    """One statistic of one cell from the first layer to the last."""

    key: CellKey
    statistic: str
    role: str
    trials: int
    layers: int
    """Layers that have the statistic and are large enough for it."""
    depth: tuple[float, ...]
    """0 for the network's first weight, 1 for its last; ascending."""
    value: tuple[float, ...]
    """Median of the layers at this place; of each layer, the mean over the trials."""


def layer_profiles(
    trials: Sequence[TrialRow], layers: Iterable[LayerRow], *, places: int = PLACES
) -> tuple[LayerProfile, ...]:
    """The lines of the layer plot.

    Args:
        trials: Those of one sweep that ended.
        layers: Weight statistics of their networks.
        places: Points of a line: a network with more layers is cut into as many parts of equal depth.
    """
    by_trial: dict[str, list[LayerRow]] = defaultdict(list)
    for layer in layers:
        by_trial[layer.trial_id].append(layer)
    measured = by_cell([trial for trial in trials if trial.trial_id in by_trial])
    profiles = []
    for key, members in sorted(measured.items()):
        if chosen := measured_setting(members):
            rows = [row for trial in chosen for row in by_trial[trial.trial_id]]
            found = (_profile(key, name, chosen, rows, places) for name in LEAST_SIDE)
            profiles += [profile for profile in found if profile is not None]
    return tuple(profiles)


def _profile(
    key: CellKey, statistic: str, trials: Sequence[TrialRow], rows: Sequence[LayerRow], places: int
) -> LayerProfile | None:
    first, last = min(row.position for row in rows), max(row.position for row in rows)
    values = _by_position(statistic, rows)
    if not values:
        return None
    parts: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for rank, (position, value) in enumerate(sorted(values.items())):
        depth = (position - first) / (last - first) if last > first else 0.0
        part = rank if len(values) <= places else min(int(depth * places), places - 1)
        parts[part].append((depth, value))
    merged = [parts[part] for part in sorted(parts)]
    return LayerProfile(
        key=key,
        statistic=statistic,
        role=trials[0].role,
        trials=len(trials),
        layers=len(values),
        depth=tuple(fmean(depth for depth, _ in part) for part in merged),
        value=tuple(median(value for _, value in part) for part in merged),
    )


def _by_position(statistic: str, rows: Sequence[LayerRow]) -> Mapping[int, float]:
    """Mean over trials of each layer that counts."""
    found: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        value = getattr(row, statistic)
        if value is not None and math.isfinite(value) and min(row.rows, row.columns) >= LEAST_SIDE[statistic]:
            found[row.position].append(value)
    return {position: fmean(values) for position, values in found.items()}
