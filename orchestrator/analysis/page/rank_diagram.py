"""The critical-difference diagram: mean ranks of optimizers, those joined that the data do not tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.ranks import RankAnswer
from orchestrator.analysis.counted import counted, listed
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.section import Chart, Section, plot, section, spec
from orchestrator.analysis.page.theme import PAGE_WIDTH, text_width

STEP, BAR_STEP, ABOVE = 21, 8, 46
"""Pixels from name to name, from bar to bar, and of what stands above the axis."""


def ranks_section(analysis: Analysis) -> Section:
    """Mean ranks with the critical difference; nothing without two complete rows."""
    ranks = analysis.ranks
    if ranks is None or len(ranks.mean_rank) < 2:
        return Section()
    chart = spec(_diagram(ranks), "Mean ranks of optimizers; bars join those that are not told apart")
    figure = f"<figure>{plot('mean-ranks')}</figure>" + tables.folded("The ranks as a table", _table(ranks))
    return section("Ranks of optimizers", _caption(ranks), figure, {"mean-ranks": chart})


def _caption(ranks: RankAnswer) -> str:
    rows = counted(ranks.n_rows, "row")
    parts = [f"Mean rank within a backbone over {rows} without missing cells; 1 is best."]
    if ranks.critical_difference is not None:
        parts.append(
            "Bars join optimizers whose mean ranks are closer than the critical difference (CD, Nemenyi's at 0.05): "
            "these backbones do not tell them apart."
        )
        if ranks.critical_difference > len(ranks.mean_rank) - 1:
            parts.append(f"Here it is {ranks.critical_difference:.2f}, longer than the axis: nothing is told apart.")
    if ranks.p is not None:
        parts.append(f"Friedman's test of no difference: p {wording.p_relation(ranks.p)}.")
    if ranks.kendall_w is not None:
        parts.append(f"Agreement of backbones: Kendall's W = {ranks.kendall_w:.2f}{_families(ranks)}.")
    parts.append("Backbones are no sample of architectures: the test speaks of these alone.")
    return " ".join(parts)


def _families(ranks: RankAnswer) -> str:
    known = {name: w for name, w in ranks.kendall_w_by_family.items() if w is not None}
    return f" ({', '.join(f'{name} {w:.2f}' for name, w in known.items())})" if len(known) > 1 else ""


def _diagram(ranks: RankAnswer) -> Chart:
    ordered = sorted(ranks.mean_rank.items(), key=lambda pair: (pair[1], pair[0]))
    number = len(ordered)
    names = [f"{wording.short(name)}  {rank:.2f}" for name, rank in ordered]
    margin = text_width(names, 200) + 12
    width = min(PAGE_WIDTH - 30, max(520, 2 * margin + 44 * number))
    # The axis from 1 to k is inset by what the names take at both sides.
    reach = (number - 1) * margin / (width - 2 * margin)
    low, high = 1 - reach, number + reach
    bars = _bars(ranks)
    first = 14 + BAR_STEP * len(bars) + 12
    half = (number + 1) // 2
    height = ABOVE + first + STEP * half
    places = [
        {
            "optimizer": name, "rank": rank,
            "label": names[at] if at < half else f"{rank:.2f}  {wording.short(name)}",
            "left": at < half, "edge": low + 0.94 * reach if at < half else high - 0.94 * reach,
            "level": first + STEP * (at if at < half else number - 1 - at), "axis": 0,
        }
        for at, (name, rank) in enumerate(ordered)
    ]  # fmt: skip
    across = alt.Scale(domain=[low, high], nice=False, zero=False)
    down = alt.Scale(domain=[first + STEP * half, -ABOVE], nice=False, zero=False)
    scales = {"x": alt.X("rank:Q", scale=across, axis=None), "y": alt.Y("level:Q", scale=down, axis=None)}
    layers = [
        *_axis(number, scales),
        *_names(places, scales),
        *([_joined(bars, scales)] if bars else []),
        *_critical(ranks.critical_difference, number, scales),
    ]
    return alt.layer(*layers).properties(width=width, height=height)


def _bars(ranks: RankAnswer) -> list[dict[str, Any]]:
    """Groups of two or more, from the best: each at a height of its own."""
    ends = [([ranks.mean_rank[name] for name in group], listed(group)) for group in ranks.groups if len(group) > 1]
    return [
        {"rank": min(found) - 0.05, "to": max(found) + 0.05, "level": 14 + BAR_STEP * place, "group": names}
        for place, (found, names) in enumerate(sorted(ends, key=lambda end: min(end[0])))
    ]


def _axis(number: int, scales: dict[str, Any]) -> list[alt.Chart]:
    line = [{"rank": 1, "to": number, "level": 0}]
    ticks = [{"rank": rank, "level": -6, "axis": 0, "label": str(rank)} for rank in range(1, number + 1)]
    return [
        alt.Chart(alt.InlineData(values=line)).mark_rule(color="currentColor").encode(**scales, x2="to:Q"),
        alt.Chart(alt.InlineData(values=ticks)).mark_rule(color="currentColor").encode(**scales, y2="axis:Q"),
        alt.Chart(alt.InlineData(values=ticks))
        .mark_text(color="currentColor", fontSize=11, dy=-8)
        .encode(**scales, text="label:N"),
    ]


def _names(places: Sequence[dict[str, Any]], scales: dict[str, Any]) -> list[alt.Chart]:
    base = alt.Chart(alt.InlineData(values=list(places))).encode(
        **scales, tooltip=[alt.Tooltip("optimizer:N"), alt.Tooltip("rank:Q", title="mean rank", format=".2f")]
    )
    thin: dict[str, Any] = {"color": "currentColor", "opacity": 0.4}
    return [
        base.mark_rule(**thin).encode(y2="axis:Q"),
        base.mark_rule(**thin).encode(x2="edge:Q"),
        base.mark_point(color="currentColor", filled=True, size=34, opacity=1).encode(y=alt.Y("axis:Q", axis=None)),
        *(
            base.transform_filter("datum.left" if left else "!datum.left")
            .mark_text(color="currentColor", fontSize=12, align="right" if left else "left", dx=-5 if left else 5)
            .encode(x=alt.X("edge:Q", axis=None), text="label:N")
            for left in (True, False)
        ),
    ]


def _joined(bars: Sequence[dict[str, Any]], scales: dict[str, Any]) -> alt.Chart:
    joined: alt.Chart = (
        alt.Chart(alt.InlineData(values=list(bars)))
        .mark_rule(color="currentColor", strokeWidth=4, strokeCap="round", opacity=0.85)
        .encode(**scales, x2="to:Q", tooltip=[alt.Tooltip("group:N", title="not told apart")])
    )
    return joined


def _critical(difference: float | None, number: int, scales: dict[str, Any]) -> list[alt.Chart]:
    """The bar of the critical difference, from the best rank on; none where it is longer than the axis."""
    if difference is None or difference > number - 1:
        return []
    bar = [{"rank": 1, "to": 1 + difference, "level": -34}]
    ends = [{"rank": rank, "level": -38, "axis": -30} for rank in (1, 1 + difference)]
    label = [{"rank": 1 + difference, "level": -34, "label": f"CD = {difference:.2f}"}]
    return [
        alt.Chart(alt.InlineData(values=bar))
        .mark_rule(color="currentColor", strokeWidth=2)
        .encode(**scales, x2="to:Q"),
        alt.Chart(alt.InlineData(values=ends))
        .mark_rule(color="currentColor", strokeWidth=2)
        .encode(**scales, y2="axis:Q"),
        alt.Chart(alt.InlineData(values=label))
        .mark_text(color="currentColor", fontSize=12, align="left", dx=8)
        .encode(**scales, text="label:N"),
    ]


def _table(ranks: RankAnswer) -> str:
    ordered = sorted(ranks.mean_rank.items(), key=lambda pair: (pair[1], pair[0]))
    pairs = {pair.second: pair for pair in ranks.generalist_pairs}
    best = next((pair.first for pair in ranks.generalist_pairs), "")
    return tables.table(
        "Mean ranks, 1 is best. The best single optimizer is compared with each other one over the backbones that "
        "have both: Wilcoxon's signed-rank test, p after Holm over these pairs; differences in percentage points.",
        ("optimizer",),
        (
            "mean rank",
            f"{wording.short(best, 18)} ahead by (mean)",
            "p (Holm)",
            f"p (equal within ±{ranks.equivalence_margin:g})",
        ),
        (
            (
                name,
                f"{rank:.2f}",
                wording.signed(pair.mean_difference) if (pair := pairs.get(name)) else wording.NOTHING,
                wording.p_value(pair.p_holm) if pair else wording.NOTHING,
                wording.p_value(pair.p_equivalence_holm) if pair else wording.NOTHING,
            )
            for name, rank in ordered
        ),
    )
