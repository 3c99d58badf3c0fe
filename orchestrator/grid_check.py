"""One training step of every pair of the paper's grid on this machine: what `bocb doctor --grid` runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from search_spaces.backbones import expand_backbones, form_for, image_size_for
from search_spaces.datasets import get_dataset
from search_spaces.optimizers import list_optimizers
from trainers.config import Precision
from trainers.networks.backbones import resolve_backbone

if TYPE_CHECKING:
    from trainers.step_check import StepCheck


def check_grid(*, batch_size: int, precision: Precision, backbones: Sequence[str]) -> Iterator[StepCheck]:
    """Every pair of the backbones and all optimizers of the catalogue, backbone by backbone.

    Args:
        batch_size: Images of the step.
        precision: Arithmetic of forward and backward passes.
        backbones: Names of the paper's backbones, or lists or families of them.

    Raises:
        UserError: A name is unknown, or one of a backbone without a recipe in the paper.
    """
    # Deferred: torch takes seconds to import.
    from trainers.step_check import StepChecker

    checker = StepChecker(batch_size=batch_size, precision=precision, threads=os.cpu_count() or 1)
    for name in (name for word in backbones for name in expand_backbones(word)):
        info = resolve_backbone(name)
        size = image_size_for(info, get_dataset("cifar100").image_size, None)
        yield from checker.check(form_for(info, size), size, list_optimizers())
