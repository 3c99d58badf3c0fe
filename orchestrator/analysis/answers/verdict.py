"""The verdict in plain words, with its numbers: each sentence says what was found, or that it cannot be said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.budget import CouplingPoint
from orchestrator.analysis.answers.coupling_records import Coupling
from orchestrator.analysis.answers.optimizers import OptimizerSensitivity
from orchestrator.analysis.answers.regret import RegretAnswer
from orchestrator.analysis.counted import counted, listed

LEVEL = 0.05
"""Of the one primary test."""
ALL = 0.995
"""Coupling index from which it is 100 % in round numbers."""
CARRIES_MUCH = 0.5
"""Share of the interaction from which carriers are named."""
DISPROPORTION = 2.0
"""How many times their share of the optimizers they carry at least: of few optimizers some always carry half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence of the verdict."""

    topic: str
    """coupling, kind, carriers, generalist, budget, sensitivity or divergence."""
    sentence: str


def verdict(analysis: Analysis) -> tuple[Finding, ...]:
    """What a sweep has found, the primary question first; topics without data are left out."""
    parts = {
        "coupling": _coupling(analysis),
        "kind": _kind(analysis),
        "carriers": _carriers(analysis),
        "generalist": _generalist(analysis.regret),
        "budget": _budget(analysis.coupling_by_budget.budgets),
        "sensitivity": _sensitivity(analysis.optimizers),
        "divergence": _divergence(analysis),
    }
    return tuple(Finding(topic=topic, sentence=sentence) for topic, found in parts.items() for sentence in found)


def _coupling(analysis: Analysis) -> Iterator[str]:
    coupling = analysis.coupling
    if coupling.share is None:
        yield f"Nothing can be said about coupling yet: {coupling.note or 'there are too few results'}."
        return
    if coupling.p_wild is None:
        yield (
            f"In the {analysis.response} results {_percent(coupling.share)} of the variance is interaction of "
            f"backbone and optimizer; {_why_untested(coupling)}."
        )
        return
    kept = f"(wild bootstrap p = {_p(coupling.p_wild)})"
    if coupling.p_wild >= LEVEL:
        yield (
            f"The {analysis.response} results do not show that the effect of the optimizer depends on the backbone "
            f"{kept}{_other_test(coupling)}."
        )
        return
    yield (f"The effect of the optimizer depends on the backbone {kept}{_theta(coupling.theta_ci)}.")
    if coupling.index is not None and coupling.index >= ALL:
        yield (
            "All of the variance that optimizers cause depends on the backbone; "
            "no optimizer is seen to be better or worse everywhere."
        )
    elif coupling.index is not None:
        yield (
            f"Of the variance that optimizers cause, {_percent(coupling.index)} depends on the backbone (coupling "
            "index); the rest is optimizers that are better or worse everywhere."
        )


def _why_untested(coupling: Coupling) -> str:
    if coupling.sigma2_error == 0:
        return "repetitions do not differ at all, so there is no noise to hold it against"
    whole = "without repetitions" if coupling.sigma2_error is None else "with repetitions of so few cells"
    return f"{whole} it cannot be told how much of that is noise"


def _is_noise(analysis: Analysis) -> bool:
    """Whether the interaction is not shown to be more than noise: what it looks like is then that of noise."""
    p = analysis.coupling.p_wild
    return p is not None and p >= LEVEL


def _other_test(coupling: Coupling) -> str:
    """What the F test says where it says otherwise; else how large a coupling the results still allow."""
    if coupling.p_f is not None and coupling.p_f < LEVEL:
        return (
            f"; the F test has p = {_p(coupling.p_f)}, but takes the noise to be equal in all cells, and results are "
            "too few or too unlike to rely on that"
        )
    allowed = coupling.theta_ci
    if allowed is None:
        return ""
    return f": a coupling with up to {_times(max(0.0, allowed[1]) ** 0.5)} times the spread of seeds fits them (95 %)"


def _theta(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return ""
    low, high = (_times(max(0.0, end) ** 0.5) for end in interval)
    return f"; the spread of the coupling is {low} to {high} times that of seeds (95 %)"


def _kind(analysis: Analysis) -> Iterator[str]:
    if (muir := analysis.coupling.muir) is not None and not _is_noise(analysis):
        yield (
            f"{_percent(muir.reranking)} of the interaction is re-ranking of optimizers from backbone to backbone, "
            f"{_percent(muir.scale)} is that some backbones spread them more than others."
        )
    if analysis.ranks is not None and analysis.ranks.kendall_w is not None:
        yield (
            f"Backbones agree on the order of optimizers with Kendall's W = {analysis.ranks.kendall_w:.2f} "
            "(0 none, 1 the same order everywhere)."
        )


def _carriers(analysis: Analysis) -> Iterator[str]:
    influence, ecovalence = analysis.coupling.influence, analysis.coupling.ecovalence
    if influence is None or ecovalence is None or _is_noise(analysis):
        return
    optimizers = sum(carried is not None for carried in ecovalence.optimizer.values())
    most = next((out for out in influence.optimizer_largest if out.carried >= CARRIES_MUCH), None)
    if most is None or most.share is None or analysis.coupling.share is None:
        return
    if most.carried < DISPROPORTION * len(most.names) / optimizers:
        return
    carry, without = ("carries", "it") if len(most.names) == 1 else ("carry", "them")
    yield (
        f"{listed(most.names)} {carry} {_percent(most.carried)} of the interaction; without {without} it is "
        f"{_percent(most.share)} of the variance and not {_percent(analysis.coupling.share)}."
    )


def _generalist(regret: RegretAnswer | None) -> Iterator[str]:
    if regret is None:
        return
    name = regret.generalist
    never_worse = [other for other, most in regret.max.items() if most == 0]
    if never_worse:
        has = "has the highest mean" if len(never_worse) == 1 else "share the highest mean"
        yield (
            f"{listed(never_worse)} {has} on every backbone{_of_rows(regret)}: in these results there is nothing to "
            "choose."
        )
        return
    yield (
        f"The best single optimizer is {name}: on average {regret.mean[name]:.2f} points behind the best one of each "
        f"backbone{_of_rows(regret)}, at most {regret.max[name]:.2f}."
    )
    gain = regret.gain
    if gain.cross_fitted is None:
        yield (
            f"Choosing for each backbone would gain up to {gain.plug_in:.2f} points; without repetitions of whole "
            "rows that figure contains luck, and the true one is probably smaller."
        )
        return
    interval = "" if gain.ci is None else f" [{gain.ci[0]:.2f}, {gain.ci[1]:.2f}; 95 % over backbones]"
    yield f"Choosing for each backbone is worth {gain.cross_fitted:.2f} points{interval}, judged on seeds left out."


def _of_rows(regret: RegretAnswer) -> str:
    """Which rows, where some are left out."""
    if not any(one.backbone for one in regret.left_out):
        return ""
    return f" ({counted(regret.n_rows, 'row')} with results of all optimizers that are compared)"


def _budget(points: Sequence[CouplingPoint]) -> Iterator[str]:
    sound = [point for point in points if not point.flagged]
    if len(sound) < 2:
        return
    first, last = sound[0], sound[-1]
    yield (
        f"Tuned with {counted(first.n, 'trial')} per cell the coupling has a standard deviation of "
        f"{_root(first.sigma2_interaction)} points, with {last.n} of {_root(last.sigma2_interaction)}: "
        f"{_trend(first, last)}."
    )


def _trend(first: CouplingPoint, last: CouplingPoint) -> str:
    if None in (first.low, first.high, last.low, last.high):
        return "how certain that is cannot be said"
    if (last.high or 0.0) < (first.low or 0.0):
        return "part of it is a want of tuning"
    if (last.low or 0.0) > (first.high or 0.0):
        return "tuning brings it out"
    return "these budgets do not tell the two apart"


def _sensitivity(optimizers: Sequence[OptimizerSensitivity]) -> Iterator[str]:
    known = sorted((one.phi, one.optimizer) for one in optimizers if one.phi is not None)
    if len(known) < 2:
        return
    (least, easy), (most, hard) = known[0], known[-1]
    if f"{most:.2f}" == f"{least:.2f}":
        yield (
            f"One setting for all backbones costs every optimizer as much (sensitivity {most:.2f} of the range of "
            "scores)."
        )
        return
    yield (
        f"One setting for all backbones loses most for {hard} (sensitivity {most:.2f} of the range of scores) and "
        f"least for {easy} ({least:.2f}); noise raises these figures, and they have no interval."
    )


def _divergence(analysis: Analysis) -> Iterator[str]:
    failures = analysis.failures
    results = failures.n_complete + failures.n_diverged
    if failures.n_diverged:
        yield (f"{failures.n_diverged:,} of {counted(results, 'trial')} with a result diverged and count at chance.")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:.1f} %"


def _p(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _times(ratio: float) -> str:
    return f"{ratio:.2g}" if ratio < 99.5 else f"{ratio:,.0f}"


def _root(variance: float) -> str:
    return f"{max(0.0, variance) ** 0.5:.2f}"
