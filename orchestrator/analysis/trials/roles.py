"""Which trials a statistic may see: the roles it is valid for, whole and still part of the sweep.

A sampler puts its trials where scores are high, so from `tune` trials a space looks several times easier than it is;
pruned or short trials have a score of fewer epochs. A statistic that is given such a trial must not answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.analysis.trials.score_table import Exclusion
from orchestrator.errors import UsageError
from orchestrator.store.schema import TrialRow

_WRONG_ROLE = {
    "design": "only points of the shared design are spread evenly over the search space",
    "default": "only default trials have the published setting",
    "confirm": "only confirm trials repeat a chosen setting with fresh seeds",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleTrials:
    """The trials of one role that a statistic may use, and what was left out."""

    role: str
    trials: tuple[TrialRow, ...]
    """With those that FAILed: they are missing results, which a statistic counts."""
    excluded: tuple[Exclusion, ...]


def trials_of_role(trials: Iterable[TrialRow], role: str) -> RoleTrials:
    """The usable trials of a role out of all those of a sweep.

    Trials of other roles are not counted as left out: they are there for something else.
    """
    found = [trial for trial in trials if trial.role == role]
    reasons = [unfit_reason(trial, role) for trial in found]
    counts = Counter(reason for reason in reasons if reason is not None)
    return RoleTrials(
        role=role,
        trials=tuple(trial for trial, reason in zip(found, reasons, strict=True) if reason is None),
        excluded=tuple(
            Exclusion(response="sensitivity", what=f"{role} trials", count=count, why=reason)
            for reason, count in sorted(counts.items())
        ),
    )


def require_role(trials: Sequence[TrialRow], role: str, statistic: str) -> None:
    """Refuses trials that a statistic is not valid for.

    Args:
        trials: What it was given.
        role: The role it is valid for.
        statistic: Its name, as the subject of the sentence.

    Raises:
        UsageError: One of them has another role, was pruned, is short of its epochs, or is superseded.
    """
    wrong = [(trial, reason) for trial in trials if (reason := unfit_reason(trial, role)) is not None]
    if wrong:
        trial, reason = wrong[0]
        raise UsageError(
            f"{statistic} takes {role} trials that ran to their end; of the {len(trials)} given {len(wrong)} cannot"
            f" be used, such as {trial.trial_id} ({trial.role}, {trial.state}): {reason};"
            f" choose them with trials_of_role(trials, {role!r})"
        )


def unfit_reason(trial: TrialRow, role: str) -> str | None:
    """Why a statistic that is valid for a role may not use a trial; None where it may."""
    if trial.role != role:
        return _WRONG_ROLE.get(role, f"its role is not {role}")
    if trial.superseded:
        return "they are superseded: the sweep's spec or its winners have changed"
    if trial.state == "PRUNED":
        return "they were stopped early, and a score of fewer epochs is not comparable"
    if trial.state == "COMPLETE" and trial.epochs_done < trial.epochs_planned:
        return "they ended before their last epoch, and a score of fewer epochs is not comparable"
    return None
