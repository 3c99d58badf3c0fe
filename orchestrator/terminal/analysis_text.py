"""The answers about a sweep as text and tables for a terminal. Computes nothing."""

from __future__ import annotations

from collections import defaultdict

from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.paper_way_records import PaperWay
from orchestrator.analysis.answers.regret import BestOfBackbone
from orchestrator.analysis.answers.variance_parts import variance_parts
from orchestrator.analysis.answers.verdict import verdict
from orchestrator.terminal.narrow_tables import bullets, narrow_table

INTERACTION_LEGEND = (
    "n: results per cell.",
    "Percentages: variance components, negative ones as 0; sums of squares where each cell has one result.",
    "index: of the variance that optimizers cause, the share that depends on the backbone.",
    "omega2: the interaction's share of all variance, with the noise taken out.",
    "p: how often noise alone gives as much interaction (wild bootstrap).",
)
OPTIMIZER_LEGEND = (
    "mean rank: within a backbone 1 is best.",
    "Regret: points below the best optimizer of a backbone. Win share: part of the backbones on which it is best.",
)
TUNING_LEGEND = (
    "sensitivity: what tuning for each backbone adds to one setting for all, in ranges of a backbone's scores.",
    "default regret: points that the default setting lacks to the tuned one.",
    "lr width: decades of the learning rate that are about as good as the best.",
    "diverged: share of trials.",
)


def analysis_text(analysis: Analysis) -> Group:
    """The verdict, then its tables, then what was left out."""
    left_out = [f"left out: {one.what} ({one.count}): {one.why}" for one in analysis.excluded]
    return Group(
        Text(f"{analysis.sweep}: {_progress(analysis)}; {_judged_by(analysis)}"),
        bullets([finding.sentence for finding in verdict(analysis)]),
        _coupling_table(analysis),
        _optimizer_table(analysis),
        _tuning_table(analysis),
        _backbone_table(analysis),
        *([Text(""), bullets(left_out)] if left_out else []),
    )


def paper_text(answer: PaperWay) -> Group:
    """The paper's summary, failures and ranking, each with how it differs from its description."""
    several = len({row.recipe for row in answer.summary}) > 1
    summary = [
        (
            row.backbone,
            row.recipe if several else None,
            *((_two(found.mean), _two(found.std), _two(found.range)) if found else (None, None, None)),
        )
        for row in answer.summary
        for found in (row.summary,)
    ]
    failures = [
        (row.variant.value, f"{row.gamma:g}", f"{row.count} of {row.cells}", row.differs) for row in answer.failures
    ]
    ranking = [
        (row.optimizer, *map(_rank, (row.performance_rank, row.hyperparameter_rank)), row.bocb,
         *map(_rank, (row.computation_rank, row.score, row.overall_rank)))
        for row in answer.ranking
    ]  # fmt: skip
    return Group(
        narrow_table("Trimmed summary over optimizers", ("backbone", "recipe", "mean", "std", "range"), summary),
        bullets(answer.summary_differs),
        narrow_table(
            "Failures, in five readings", ("Eq. (1)", "gamma", "flagged", "how it differs"), failures
        ),
        narrow_table(
            "Ranking of optimizers, 1 is best",
            ("optimizer", "performance", "hyper-parameters", "BOCB", "computation", "score", "rank"),
            ranking,
        ),
        bullets((*answer.ranking_differs, *answer.ranking_missing)),
    )  # fmt: skip


def _progress(analysis: Analysis) -> str:
    planned = f" of {analysis.trials_planned:,}" if analysis.trials_planned is not None else ""
    return f"{analysis.trials_ended:,}{planned} trials ended"


def _judged_by(analysis: Analysis) -> str:
    if analysis.response is None:
        return "too few results for a verdict"
    return f"judged by the {analysis.response} results"


def _coupling_table(analysis: Analysis) -> RenderableType:
    rows: list[tuple[object, ...]] = []
    notes = defaultdict(list)
    for response, found in analysis.coupling.by_response.items():
        if found.note:
            notes[found.note].append(response)
        if found.variance is None:
            continue
        parts = variance_parts(found)
        shares = map(_percent, (parts.backbone, parts.optimizer, parts.interaction, parts.noise))
        rows.append(
            (
                response,
                _count(found.n_replicates),
                *shares,
                _two(found.index_to_read),
                _two(found.omega2),
                _p(found.p_wild),
            )
        )
    legend = [*INTERACTION_LEGEND, *(f"{', '.join(names)}: {note}." for note, names in notes.items())]
    columns = ("response", "n", "backbone %", "optimizer %", "interaction %", "noise %", "index",
               "omega2", "p")  # fmt: skip
    return narrow_table("Where the variance of a result lies", columns, rows, legend=legend)


def _optimizer_table(analysis: Analysis) -> RenderableType:
    ranks, regret = analysis.ranks, analysis.regret
    names = list(ranks.mean_rank if ranks else regret.mean if regret else ())
    names.sort(key=lambda name: (ranks.mean_rank[name] if ranks else 0.0, name))
    rows = [
        (
            name,
            _two(ranks.mean_rank[name] if ranks else None),
            _two(regret.mean.get(name) if regret else None),
            _two(regret.max.get(name) if regret else None),
            _two(regret.win_share.get(name) if regret else None),
        )
        for name in names
    ]
    columns = ("optimizer", "mean rank", "mean regret", "max regret", "win share")
    return narrow_table("Optimizers, best first", columns, rows, legend=OPTIMIZER_LEGEND)


def _tuning_table(analysis: Analysis) -> RenderableType:
    rows = [
        (one.optimizer, _two(one.phi), _two(one.default_regret), _two(one.lr_width), _two(one.divergence_rate))
        for one in analysis.optimizers
    ]
    if all(value is None for row in rows for value in row[1:]):
        return Group()
    columns = ("optimizer", "sensitivity", "default regret", "lr width", "diverged")
    return narrow_table("How much tuning matters", columns, rows, legend=TUNING_LEGEND)


def _backbone_table(analysis: Analysis) -> RenderableType:
    if analysis.regret is None:
        return Group()
    found = analysis.regret.best_of_backbone
    several = len({row.recipe for row in found}) > 1
    rows = [
        (row.backbone, row.recipe if several else None, row.optimizer, _two(row.mean), row.second, _lead(row),
         _two(row.generalist_regret))
        for row in found
    ]  # fmt: skip
    columns = ("backbone", "recipe", "best", "mean", "second", "lead", f"lost by {analysis.regret.generalist}")
    legend = []
    if any(row.ci is not None for row in found):
        legend = ["lead: points over the second [95 % interval]; * better than every other optimizer."]
    return narrow_table("Which optimizer for which backbone", columns, rows, legend=legend)


def _lead(row: BestOfBackbone) -> str:
    interval = "" if row.ci is None else f" [{row.ci[0]:.2f}, {row.ci[1]:.2f}]"
    return f"{row.lead:.2f}{interval}{' *' if row.separated else ''}"


def _count(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _two(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def _rank(value: float | None) -> str | None:
    return None if value is None else f"{value:g}"


def _p(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
