"""What was run, in words: the facts at the head of the page, and what in them should make a reader careful."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import wording
from orchestrator.analysis.trials.spec_facts import SpecFacts
from orchestrator.analysis.trials.sweep_data import PageData
from orchestrator.store.schema import TrialRow

SHOWN_PACKAGES = ("python", "torch", "timm", "ray", "optuna", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the head."""

    label: str
    value: str


def facts_of(page_data: PageData, summary: SweepSummary) -> tuple[Fact, ...]:
    """The head of the page; what the store does not say is left out."""
    facts, trials = page_data.facts, page_data.trials
    lines = {
        "Data": _data(facts, trials),
        "Validation": _validation(facts),
        "Score": _listed(trials, lambda trial: trial.score_rule) or (facts.score or ""),
        "Budget of a trial": _budget(facts, trials),
        "Grid": _grid(summary),
        "Protocol of a cell": "; ".join(facts.protocol),
        "Trials": _trials(page_data, summary),
        "Computed": _computed(summary, trials),
        "When": _when(summary, facts),
        "Versions": _versions(facts),
    }
    return tuple(Fact(label=label, value=value) for label, value in lines.items() if value)


def warnings_of(page_data: PageData) -> tuple[str, ...]:
    """What was run in a way that weakens the numbers, one sentence each."""
    facts, trials = page_data.facts, page_data.trials
    sentences = []
    if facts.validation == "test":
        sentences.append(
            "Scores are selected on the test part (validation = test): they are too high as estimates for new data."
        )
    if inferred := {trial.backbone for trial in trials if trial.hp_source == "inferred"}:
        sentences.append(
            f"The paper tuned no setting for {', '.join(sorted(inferred))}: what was used follows from those of the "
            "backbones that share the recipe (hp_source = inferred)."
        )
    for what, read in _SHOULD_BE_ONE.items():
        values = {value for trial in trials if (value := read(trial)) is not None}
        if len(values) > 1:
            sentences.append(f"Trials differ in {what}: {', '.join(sorted(values))}.")
    return tuple(sentences)


_SHOULD_BE_ONE: dict[str, Callable[[TrialRow], str | None]] = {
    "the data": lambda trial: f"{trial.dataset} {trial.data_sha256[:8]}" if trial.data_sha256 else None,
    "code version": lambda trial: trial.code_version,
    "device": lambda trial: trial.device,
    "precision": lambda trial: trial.precision,
    "epochs": lambda trial: str(trial.epochs_planned),
    "batch size": lambda trial: str(trial.batch_size),
}
"""Properties that all trials of a comparison should share."""


def _listed(trials: Iterable[TrialRow], read: Callable[[TrialRow], str | None]) -> str:
    """The different values of a column, in order."""
    return "; ".join(sorted({value for trial in trials if (value := read(trial))}))


def _data(facts: SpecFacts, trials: Iterable[TrialRow]) -> str:
    name = facts.data or _listed(trials, lambda trial: trial.dataset)
    sizes = sorted({trial.input_size for trial in trials if trial.input_size})
    return f"{name}, {' and '.join(map(str, sizes))} px" if name and sizes else name


def _validation(facts: SpecFacts) -> str:
    words = {"test": "on the test part", "split": "on a part split from the training data"}
    text = words.get(facts.validation or "", facts.validation or "")
    if facts.validation == "split" and facts.validation_fraction:
        text += f" ({100 * facts.validation_fraction:g} %)"
    if facts.train_on == "train+validation":
        text += "; confirm trials train on both parts and are scored on the test part"
    return text


def _budget(facts: SpecFacts, trials: Iterable[TrialRow]) -> str:
    epochs = facts.epochs or next((trial.epochs_planned for trial in trials), None)
    precision = _listed(trials, lambda trial: trial.precision) or facts.precision
    parts = [counted(epochs, "epoch") if epochs else "", f"batches of {facts.batch_size}" if facts.batch_size else ""]
    return ", ".join(filter(None, [*parts, precision]))


def _grid(summary: SweepSummary) -> str:
    if not summary.rows:
        return ""
    sizes = [
        counted(len({row.backbone for row in summary.rows}), "backbone"),
        counted(len({row.recipe for row in summary.rows}), "recipe"),
        counted(len(summary.optimizers), "optimizer"),
    ]
    return f"{', '.join(sizes)}: {counted(len(summary.cells), 'cell')}"


def _trials(page_data: PageData, summary: SweepSummary) -> str:
    planned = f" of {summary.planned:,} planned" if summary.planned is not None else ""
    running = f"; {page_data.running:,} under way" if page_data.running else ""
    roles = ", ".join(f"{role.role} {role.counts.ended:,}" for role in summary.roles)
    return f"{summary.counts.ended:,} ended{planned}{running}" + (f" ({roles})" if roles else "")


def _computed(summary: SweepSummary, trials: Iterable[TrialRow]) -> str:
    if not summary.epochs:
        return ""
    devices = _listed(trials, lambda trial: trial.device)
    text = f"{summary.epochs:,} epochs in {wording.duration(summary.train_seconds)} of training"
    return f"{text} on {devices}" if devices else text


def _when(summary: SweepSummary, facts: SpecFacts) -> str:
    if summary.first_start is None:
        return f"planned {wording.moment(facts.created_at)}" if facts.created_at else ""
    start, end = wording.moment(summary.first_start), wording.moment(summary.last_end)
    return start if start == end else f"{start} to {end}"


def _versions(facts: SpecFacts) -> str:
    known = {name.lower(): version for name, version in facts.packages}
    return ", ".join(f"{name} {known[name]}" for name in SHOWN_PACKAGES if name in known)
