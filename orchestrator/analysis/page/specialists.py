"""Which optimizer for which backbone, how far that can be trusted, and what one optimizer for all costs there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.regret import BestOfBackbone, RegretAnswer
from orchestrator.analysis.answers.summary import RowSummary, SweepSummary
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.section import Chart, Section, plot, section, spec
from orchestrator.analysis.page.theme import CHOICE_COLOURS, PAGE_WIDTH, clamp, text_width

TITLE = "Which optimizer for which backbone"
SEPARATED = {True: "yes", False: "no", None: "cannot be said"}


def specialists_section(summary: SweepSummary, analysis: Analysis) -> Section:
    """From the headline response, with simultaneous intervals; before there is one, who came first so far."""
    if analysis.regret is None or not analysis.regret.best_of_backbone:
        return _first_places(summary)
    regret = analysis.regret
    labels = {(row.backbone, row.recipe): row.label for row in summary.rows}
    chart = spec(_strips(analysis, regret, labels), "Distance of every optimizer to the best of each backbone")
    answered = {(row.backbone, row.recipe) for row in regret.best_of_backbone}
    others = [row for row in summary.rows if (row.backbone, row.recipe) not in answered]
    figure = (
        f'<div class="scroll open" tabindex="0">{_table(regret, labels)}</div>'
        + (_leaders(f"Too few {regret.response} results yet: leaders by what there is.", others) if others else "")
        + f"<figure><h3>How far behind the others are</h3>{plot('behind-best')}</figure>"
        + tables.folded("Optimizers over all backbones as a table", _optimizer_table(regret))
    )
    return section(TITLE, _caption(regret), figure, {"behind-best": chart})


def _caption(regret: RegretAnswer) -> str:
    best = regret.best_of_backbone
    known = [row for row in best if row.separated is not None]
    if known:
        apart = sum(row.separated or False for row in known)
        text = (
            f"On {apart} of {counted(len(known), 'backbone')} the best optimizer is told apart from all others: the "
            "interval of its lead, at a joint level of 95 % over its optimizers, lies above 0. Where it "
            "does not, one of the others may be as good or better."
        )
    else:
        text = (
            "One result for each cell: who leads is seen, but not whether it is more than luck, so no interval and "
            "no probability is given."
        )
    return f"{text} {regret.generalist} is the best single choice; the last column is what it loses there."


def _table(regret: RegretAnswer, labels: dict[tuple[str, str], str]) -> str:
    """Without repetitions there is neither interval nor probability, and no column for them."""
    is_known = any(row.separated is not None for row in regret.best_of_backbone)
    text = ("backbone", "best", "second", *(("told apart",) if is_known else ()))
    numbers = (
        "mean",
        "lead",
        *(("interval", "P(best)") if is_known else ()),
        f"{wording.short(regret.generalist, 18)} loses",
    )
    return tables.table(
        f"Of the {regret.response} results; means in percent, leads and losses in percentage points. Leads are too "
        "high on average, having been picked; diverged trials count at chance.",
        text,
        numbers,
        (
            (
                labels.get((row.backbone, row.recipe), row.backbone),
                row.optimizer,
                row.second,
                *((SEPARATED[row.separated],) if is_known else ()),
                f"{row.mean:.2f}",
                f"{row.lead:.2f}",
                *((wording.span(row.ci) or wording.NOTHING, _probability(row)) if is_known else ()),
                wording.NOTHING if row.generalist_regret is None else f"{row.generalist_regret:.2f}",
            )
            for row in regret.best_of_backbone
        ),
    )


def _probability(row: BestOfBackbone) -> str:
    if row.probability_best is None:
        return wording.NOTHING
    # Draws never show certainty.
    return "> 99 %" if row.probability_best > 0.99 else f"{100 * row.probability_best:.0f} %"


def _optimizer_table(regret: RegretAnswer) -> str:
    names = sorted(regret.mean, key=lambda name: (regret.mean[name], name))
    return tables.table(
        f"Regret is what an optimizer lacks to the best of a backbone, in percentage points, over {regret.n_rows} "
        "rows without missing cells; superiority is Lin and Binns' measure in squared points.",
        ("optimizer",),
        ("mean regret", "largest regret", "share of first places", "superiority"),
        (
            (
                name,
                f"{regret.mean[name]:.2f}",
                f"{regret.max[name]:.2f}",
                wording.share(regret.win_share[name]),
                f"{regret.superiority[name]:.2f}",
            )
            for name in names
        ),
    )


def _strips(analysis: Analysis, regret: RegretAnswer, labels: dict[tuple[str, str], str]) -> Chart:
    """A line for each backbone with every optimizer at its distance to the best."""
    best = {(row.backbone, row.recipe): row for row in regret.best_of_backbone}
    values = [
        {
            "row": labels.get((cell.backbone, cell.recipe), cell.backbone),
            "optimizer": cell.optimizer,
            "name": wording.short(cell.optimizer),
            "behind": round(best[cell.backbone, cell.recipe].mean - cell.mean, 6),
            "mean": f"{cell.mean:.2f} %",
            "who": _kind(cell.optimizer, best[cell.backbone, cell.recipe], regret.generalist),
        }
        for cell in analysis.cells
        if cell.response == regret.response and cell.mean is not None and (cell.backbone, cell.recipe) in best
    ]
    rows = [labels.get(key, key[0]) for key in best]
    return _drawn(values, rows)


def _kind(optimizer: str, row: BestOfBackbone, generalist: str) -> str:
    return "best" if optimizer == row.optimizer else "generalist" if optimizer == generalist else "others"


def _drawn(values: Sequence[dict[str, Any]], rows: list[str]) -> Chart:
    x = alt.X(
        "behind:Q",
        title="percentage points behind the best (square-root scale)",
        scale=alt.Scale(type="sqrt", zero=True, nice=True),
        axis=alt.Axis(orient="top", tickCount=8, grid=True, domain=False),
    )
    y = alt.Y(
        "row:N", title=None, scale=alt.Scale(domain=rows), axis=alt.Axis(ticks=False, domain=False, labelPadding=8)
    )
    tooltip = [
        alt.Tooltip("row:N", title="backbone"),
        alt.Tooltip("optimizer:N"),
        alt.Tooltip("mean:N"),
        alt.Tooltip("behind:Q", title="points behind the best", format=".2f"),
    ]
    base = alt.Chart(alt.InlineData(values=list(values))).encode(x=x, y=y, tooltip=tooltip)
    others = base.transform_filter("datum.who === 'others'").mark_tick(
        color="currentColor", opacity=0.55, thickness=2, height=12
    )
    who = alt.Scale(domain=list(CHOICE_COLOURS), range=list(CHOICE_COLOURS.values()))
    chosen = (
        base.transform_filter("datum.who !== 'others'")
        .mark_point(filled=True, opacity=1, size=90)
        .encode(
            color=alt.Color(
                "who:N", title=None, scale=who, legend=alt.Legend(orient="bottom", labelExpr=_legend_words())
            ),
            shape=alt.Shape(
                "who:N", title=None, scale=alt.Scale(domain=["best", "generalist"], range=["circle", "diamond"])
            ),
        )
    )
    names = base.transform_filter("datum.who === 'best'").mark_text(
        align="left", dx=9, dy=-8, fontSize=10, color="currentColor", opacity=0.8
    ).encode(text="name:N")  # fmt: skip
    return alt.layer(others, chosen, names).properties(
        width=clamp(PAGE_WIDTH - text_width(rows) - 60, 300, 600), height=clamp(28 * len(rows), 60, 620)
    )


def _legend_words() -> str:
    """Without the generalist's name: a name has no place in an expression."""
    return "datum.value === 'best' ? 'best of the backbone' : 'best single optimizer'"


def _first_places(summary: SweepSummary) -> Section:
    if not summary.rows:
        return section(TITLE, "No trial has ended yet.")
    caption = (
        "Who leads so far; two backbones and two optimizers with results are needed before it can be said how far "
        "that goes. Intervals are 95 % t intervals of one cell's mean on its own."
    )
    return section(TITLE, caption, _leaders("Leaders so far.", summary.rows))


def _leaders(caption: str, rows: Sequence[RowSummary]) -> str:
    content = tables.table(
        caption, ("backbone", "first", "number shown", "evidence"), ("accuracy", "points ahead"), map(_leader, rows)
    )
    return f'<div class="scroll open" tabindex="0">{content}</div>'


def _leader(row: RowSummary) -> tuple[str, ...]:
    first = row.ranking[0].headline if row.ranking else None
    second = row.ranking[1] if len(row.ranking) > 1 else None
    return (
        row.label,
        wording.leader(row),
        wording.NOTHING if row.source is None else wording.SOURCE_LONG[row.source],
        wording.evidence(first) if first else wording.NOTHING,
        wording.accuracy(first.estimate) if first else wording.NOTHING,
        wording.points(-(second.gap or 0.0)) if second else wording.NOTHING,
    )
