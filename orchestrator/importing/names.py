"""The catalogue's names of what a file of results calls by another: by the paper's names, or in other letters."""

from __future__ import annotations

from functools import cache

from search_spaces.backbones import list_backbones
from search_spaces.optimizers import list_optimizers
from search_spaces.paper_names import SHORT_NAMES
from search_spaces.published_optimizers import SHORT_NAMES as OPTIMIZER_SHORT_NAMES


def canonical_backbone(name: str) -> str:
    """The catalogue's name of a backbone, whatever its case or its name in the paper; an unknown one as given."""
    return known_backbones().get(name.casefold(), name)


def canonical_optimizer(name: str) -> str:
    """As `canonical_backbone`, of an optimizer."""
    return known_optimizers().get(name.casefold(), name)


@cache
def known_backbones() -> dict[str, str]:
    """The catalogue's name of every backbone, by each of its names in folded case."""
    names = {info.name: info.name for info in list_backbones()}
    return {alias.casefold(): name for alias, name in {**SHORT_NAMES, **names}.items()}


@cache
def known_optimizers() -> dict[str, str]:
    """As `known_backbones`, of optimizers."""
    names = {info.name: info.name for info in list_optimizers()}
    return {alias.casefold(): name for alias, name in {**OPTIMIZER_SHORT_NAMES, **names}.items()}
