"""Whether a trial of the store is one that a spec asks for, told from names and counts alone.

A whole plan would need the user's own modules and every library that builds networks; a store is to be verified
anywhere.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from orchestrator.planning.imported_spec import import_record
from orchestrator.planning.plan import cell_key
from orchestrator.planning.spec import Spec, spec_from_record
from orchestrator.store.schema import SweepRow

_ROLES = re.compile(
    r"default-s(?P<default_seed>\d+)|design-(?P<design>\d+)-s(?P<design_seed>\d+)|tune-(?P<tune>\d+)"
    r"|confirm-(?:design-(?P<design_again>\d+)|tune-(?P<tune_again>\d+))-s(?P<confirm_seed>\d+)"
    r"|imported-s(?P<imported>\d+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedIds:
    """The trials of one version of a sweep."""

    cells: frozenset[tuple[str, str, str]]
    """Backbone, recipe, optimizer."""
    limits: dict[str, int]
    """How many there are of everything that an id counts."""

    @staticmethod
    def of(version: SweepRow) -> PlannedIds:
        """The trials of a recorded version.

        Raises:
            StoreError: Its spec cannot be read.
        """
        cells = frozenset((cell[0], cell[1], cell[2]) for cell in json.loads(version.cells))
        record = import_record(version.spec)
        if record is not None:
            return PlannedIds(cells=cells, limits={"imported": record.replicates})
        spec: Spec = spec_from_record(version.spec)
        protocol = spec.protocol
        return PlannedIds(
            cells=cells,
            limits={
                "default_seed": protocol.default.seeds,
                "design": protocol.design.points,
                "design_seed": protocol.design.seeds,
                "tune": protocol.tune.trials,
                "design_again": protocol.design.points,
                "tune_again": protocol.tune.trials,
                "confirm_seed": protocol.confirm.seeds,
            },
        )

    def has(self, trial_id: str, backbone: str, recipe: str, optimizer: str) -> bool:
        """Whether the version asks for that trial of that cell; of a confirm trial, whether it could."""
        prefix = f"{cell_key(backbone, recipe, optimizer)}."
        if (backbone, recipe, optimizer) not in self.cells or not trial_id.startswith(prefix):
            return False
        match = _ROLES.fullmatch(trial_id.removeprefix(prefix))
        numbers = match.groupdict() if match else {}
        return bool(numbers) and all(
            int(number) < self.limits.get(name, 0) for name, number in numbers.items() if number is not None
        )
