"""The answers about a sweep as text and tables for a terminal. Computes nothing."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.paper_way import PaperWay
from orchestrator.analysis.answers.verdict import verdict
from orchestrator.tables import table_of

NONE = "-"


def analysis_text(analysis: Analysis) -> Group:
    """The verdict, then its tables, then what was left out."""
    lines = [f"{analysis.sweep}: {_progress(analysis)}; headline: {analysis.response or 'none yet'}"]
    lines += [f"- {finding.sentence}" for finding in verdict(analysis)]
    left_out = [f"left out: {one.what} ({one.count}): {one.why}" for one in analysis.excluded]
    return Group(
        Text("\n".join(lines)),
        _coupling_table(analysis),
        _optimizer_table(analysis),
        _backbone_table(analysis),
        Text("\n".join(left_out)),
    )


def paper_text(answer: PaperWay) -> Group:
    """The paper's summary, failures and ranking, each with how it differs from its description."""
    summary = [
        (
            row.backbone,
            row.recipe,
            *((_two(found.mean), _two(found.std), _two(found.range)) if found else ("", "", "")),
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
        table_of(("backbone", "recipe", "mean", "std", "range"), summary, "Trimmed summary over optimizers"),
        _notes(answer.summary_differs),
        table_of(("Eq. (1)", "gamma", "flagged", "how it differs"), failures, "Failures, in five readings"),
        table_of(("optimizer", "performance", "hyper-parameters", "BOCB", "computation", "score", "rank"), ranking),
        _notes((*answer.ranking_differs, *answer.ranking_missing)),
    )  # fmt: skip


def _progress(analysis: Analysis) -> str:
    planned = f" of {analysis.trials_planned:,}" if analysis.trials_planned is not None else ""
    return f"{analysis.trials_ended:,}{planned} trials ended"


def _coupling_table(analysis: Analysis) -> Table:
    rows = []
    for response, found in analysis.coupling.by_response.items():
        if found.variance is None:
            rows.append((response, *[""] * 8, found.note or ""))
            continue
        parts = found.variance.backbone, found.variance.optimizer, found.variance.interaction, found.variance.error
        shares = [NONE if part is None else f"{100 * part / found.variance.total:.1f}" for part in parts]
        index = found.index if found.paired is not True else found.index_cross_seed
        rows.append(
            (response, _count(found.n_replicates), *shares, _two(index), _two(found.omega2), _p(found.p_wild),
             found.note or "")
        )  # fmt: skip
    columns = ("response", "replicates", "backbone %", "optimizer %", "interaction %", "noise %", "index", "omega2",
               "p", "note")  # fmt: skip
    return table_of(columns, rows, "Where the variance lies, in percent of the total")


def _optimizer_table(analysis: Analysis) -> Table:
    ranks, regret = analysis.ranks, analysis.regret
    sensitive = {one.optimizer: one for one in analysis.optimizers}
    names = list(dict.fromkeys([*(ranks.mean_rank if ranks else ()), *sensitive]))
    names.sort(key=lambda name: (ranks.mean_rank.get(name, 1e9) if ranks else 0.0, name))
    rows = [
        (
            name,
            _two(ranks.mean_rank.get(name) if ranks else None),
            _two(regret.mean.get(name) if regret else None),
            _two(regret.max.get(name) if regret else None),
            _two(regret.win_share.get(name) if regret else None),
            _two(one.phi if (one := sensitive.get(name)) else None),
            _two(one.default_regret if one else None),
            _two(one.lr_width if one else None),
            _two(one.divergence_rate if one else None),
        )
        for name in names
    ]
    columns = ("optimizer", "mean rank", "mean regret", "max regret", "win share", "sensitivity", "default regret",
               "lr width", "diverged")  # fmt: skip
    return table_of(columns, rows, "Optimizers: rank 1 is best; regret in points; lr width in decades")


def _backbone_table(analysis: Analysis) -> Table:
    rows = [
        (row.backbone, row.recipe, row.optimizer, _two(row.mean), row.second, f"{row.lead:.2f}{_interval(row.ci)}",
         {True: "yes", False: "no", None: NONE}[row.separated], _two(row.generalist_regret))
        for row in (analysis.regret.best_of_backbone if analysis.regret else ())
    ]  # fmt: skip
    columns = ("backbone", "recipe", "best", "mean", "second", "lead", "separated", "lost by the generalist")
    return table_of(columns, rows, "Which optimizer for which backbone")


def _notes(sentences: tuple[str, ...]) -> Text:
    return Text("\n".join(f"- {sentence}" for sentence in sentences))


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f" [{ends[0]:.2f}, {ends[1]:.2f}]"


def _count(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}"


def _two(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _rank(value: float | None) -> str:
    return NONE if value is None else f"{value:g}"


def _p(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"
