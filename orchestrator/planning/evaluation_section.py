"""[evaluation] of a spec: what is measured of a trained network beside its accuracy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from orchestrator.planning.sections import Section

RoleName = Literal["default", "design", "tune", "confirm"]


def _usual_roles() -> list[RoleName]:
    return ["default", "confirm"]


class EvaluationSection(Section):
    """[evaluation]. It changes no trial's training, and an edit holds for the trials that end after it."""

    layers: list[RoleName] = Field(default_factory=_usual_roles)
    """Roles of the trials whose weights get statistics, layer by layer, in table `layers`; an empty list for none."""
    corruptions: bool = False
    """Whether confirm trials are tested on the test part corrupted as in CIFAR-C: table `corruptions`."""

    @field_validator("layers")
    @classmethod
    def _each_once(cls, layers: list[RoleName]) -> list[RoleName]:
        if len(set(layers)) < len(layers):
            raise ValueError(f"a role is there twice: {layers}")
        return layers
