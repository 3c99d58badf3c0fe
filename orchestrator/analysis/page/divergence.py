"""Where training diverged: a map of the cells, with exact intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.failures import CellFailures, DivergenceSummary, FailureAnswer, LevelFailures
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.section import Section, plot, section, spec
from orchestrator.analysis.page.theme import DARK_INK, LIGHT_INK, PAGE_WIDTH, clamp, text_width
from orchestrator.analysis.trials.cells import CellKey

TITLE = "Where training diverged"
RATE_COLOURS = ["#fdf3d8", "#f3cf7a", "#d9963a", "#a85a2a", "#5e2a1e"]
"""Of rising darkness, from few to all."""
DIGITS = 30
"""Width from which a square holds a rate."""


def divergence_section(answer: FailureAnswer, labels: Mapping[CellKey, str], optimizers: Sequence[str]) -> Section:
    """The map of divergence rates; one sentence where nothing diverged, nothing without an outcome."""
    if answer.summary is None:
        return Section()
    role = answer.summary.role
    cells = [cell for cell in answer.cells if cell.role == role and cell.divergence_rate is not None]
    if not any(cell.n_diverged for cell in cells):
        return section(TITLE, _nothing(cells, role))
    content = f"<figure>{plot('divergence')}</figure>" + tables.folded(
        "The rates as a table", _table(cells, answer.summary, labels)
    )
    chart = spec(_chart(cells, labels, optimizers), "Share of the trials of every cell that diverged")
    return section(TITLE, _caption(cells, answer.summary), content, {"divergence": chart})


def _nothing(cells: Sequence[CellFailures], role: str) -> str:
    trials = sum(_outcomes(cell) for cell in cells)
    highest = max(cell.divergence_ci[1] for cell in cells if cell.divergence_ci)
    return (
        f"None of {counted(trials, f'{role} trial')} diverged. In a single cell that leaves room for a rate of up to "
        f"{100 * highest:.0f} % (upper end of the exact 95 % interval where there are fewest trials)."
    )


def _caption(cells: Sequence[CellFailures], summary: DivergenceSummary) -> str:
    diverged, trials = sum(cell.n_diverged for cell in cells), sum(_outcomes(cell) for cell in cells)
    parts = [
        f"{diverged:,} of {trials:,} {summary.role} trials with a result diverged: share of each cell in percent; "
        "the exact 95 % interval shows on pointing. Failed trials gave no result and do not count. Dashed: no "
        "trial yet."
    ]
    for what, p in (("Backbones", summary.p_backbones), ("Optimizers", summary.p_optimizers)):
        if p is not None:
            parts.append(f"{what} {'differ' if p < 0.05 else 'cannot be told apart'} (permutation p = {p:.3g}).")
    return " ".join(parts)


def _outcomes(cell: CellFailures) -> int:
    return cell.n_complete + cell.n_diverged


def _interval(ends: tuple[float, float] | None) -> str:
    return f"[{100 * ends[0]:.1f}, {100 * ends[1]:.1f}]" if ends else wording.NOTHING


def _key_of(cell: CellFailures) -> CellKey:
    return CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer)


def _chart(
    cells: Sequence[CellFailures], labels: Mapping[CellKey, str], optimizers: Sequence[str]
) -> alt.LayerChart | alt.FacetChart:
    rows, columns = list(dict.fromkeys(labels.values())), list(optimizers)
    # What the last slanted name and the menu take stays free.
    beside = text_width(rows) + max(66, round(0.77 * text_width(columns, 120)) + 30)
    width = clamp((PAGE_WIDTH - beside) / max(1, len(columns)), 24, 76)
    height = clamp(420 / max(1, len(rows)), 22, 34)
    found = {_key_of(cell): cell for cell in cells}
    base = _base([_square(key, labels[key], found.get(key)) for key in labels], rows, columns, width)
    scale = alt.Scale(range=RATE_COLOURS, domain=[0, 100], interpolate="lab", type="sqrt")
    legend = alt.Legend(
        title="diverged (%)", orient="bottom", gradientLength=220, gradientThickness=10, values=[0, 5, 25, 50, 100]
    )
    squares = (
        base.transform_filter("datum.rate > 0")
        .mark_rect(cornerRadius=3)
        .encode(color=alt.Color("rate:Q", scale=scale, legend=legend))
    )
    none = base.transform_filter("datum.rate === 0").mark_rect(cornerRadius=3, fill="currentColor", fillOpacity=0.05)
    holes = base.transform_filter("!isValid(datum.rate)").mark_rect(
        cornerRadius=3, fill="transparent", stroke="currentColor", strokeOpacity=0.45, strokeDash=[3, 3]
    )
    layers = [none, holes, squares]
    if width >= DIGITS:
        layers.append(
            base.transform_filter("datum.rate > 0")
            .mark_text(fontSize=clamp(width / 3.4, 9, 11))
            .encode(
                text=alt.Text("rate:Q", format=".0f"),
                color=alt.condition("datum.rate > 51", alt.value(LIGHT_INK), alt.value(DARK_INK)),
            )
        )
    return alt.layer(*layers).properties(width=width * len(columns), height=height * len(rows))


def _base(squares: list[dict[str, Any]], rows: list[str], columns: list[str], width: int) -> alt.Chart:
    """What all layers have in common: the grid of the matrix, and what pointing shows."""
    chart: alt.Chart = alt.Chart(alt.InlineData(values=squares)).encode(
        x=alt.X(
            "optimizer:N",
            title=None,
            scale=alt.Scale(domain=columns, paddingInner=0.06, paddingOuter=0.02),
            axis=alt.Axis(
                orient="top",
                labelAngle=-40 if text_width(columns) > width else 0,
                ticks=False,
                domain=False,
                labelPadding=6,
                labelLimit=120,
            ),
        ),
        y=alt.Y(
            "row:N",
            title=None,
            scale=alt.Scale(domain=rows, paddingInner=0.06, paddingOuter=0.02),
            axis=alt.Axis(ticks=False, domain=False, labelPadding=8),
        ),
        tooltip=[
            alt.Tooltip("row:N", title="backbone"),
            alt.Tooltip("optimizer:N"),
            alt.Tooltip("counts:N", title="diverged"),
            alt.Tooltip("interval:N", title="rate (%), exact 95 % interval"),
            alt.Tooltip("failed:Q", title="failed besides"),
        ],
    )
    return chart


def _square(key: CellKey, row: str, cell: CellFailures | None) -> dict[str, Any]:
    square: dict[str, Any] = {"row": row, "optimizer": key.optimizer, "rate": None, "counts": "no trial yet"}
    if cell is None or cell.divergence_rate is None:
        return {**square, "interval": wording.NOTHING, "failed": 0}
    rate = 100 * cell.divergence_rate
    return {
        **square,
        "rate": round(rate, 2),
        "counts": f"{cell.n_diverged} of {_outcomes(cell)}",
        "interval": f"{rate:.1f} {_interval(cell.divergence_ci)}",
        "failed": cell.n_failed,
    }


def _table(cells: Sequence[CellFailures], summary: DivergenceSummary, labels: Mapping[CellKey, str]) -> str:
    rows: list[tuple[str, ...]] = [
        (
            labels[_key_of(cell)],
            cell.optimizer,
            str(_outcomes(cell)),
            str(cell.n_diverged),
            wording.percent(cell.divergence_rate, 1),
            _interval(cell.divergence_ci),
            wording.NOTHING,
            str(cell.n_failed),
        )
        for cell in cells
    ]
    names = {(key.backbone, key.recipe): label for key, label in labels.items()}
    rows += [_level(names[level.name, level.recipe or ""], "all", level) for level in summary.backbones]
    rows += [_level("all", level.name, level) for level in summary.optimizers]
    return tables.table(
        f"The {summary.role} trials with a result. Rates in percent with exact 95 % intervals, those of a whole "
        "backbone or optimizer rather short, as trials of one cell are alike. Adjusted: by a logistic fit, as if "
        "every backbone had met every optimizer equally often.",
        ("backbone", "optimizer"),
        ("trials", "diverged", "rate", "interval", "adjusted rate", "failed besides"),
        rows,
    )


def _level(row: str, optimizer: str, level: LevelFailures) -> tuple[str, ...]:
    return (
        row,
        optimizer,
        str(level.n),
        str(level.n_diverged),
        wording.percent(level.rate, 1),
        _interval(level.ci),
        wording.percent(level.adjusted_rate, 1),
        wording.NOTHING,
    )
