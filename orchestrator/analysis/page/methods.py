"""The methods note: what was left out, which statistic used what, and what is not as in the paper."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.analysis.answers.analysis import Analysis
from orchestrator.analysis.answers.deviations import confounding, deviations
from orchestrator.analysis.counted import counted, listed
from orchestrator.analysis.page import tables
from orchestrator.analysis.page.section import Section, section
from orchestrator.analysis.trials.complete_table import LeftOut
from orchestrator.analysis.trials.sweep_data import SweepData

PAPER = "arXiv 2410.06373"
STATISTICS = (
    ("parts of the variance, index C", True, "every result",
     "two-way analysis of variance and method of moments; type II where cells are missing",
     "Searle, Casella and McCulloch 1992"),
    ("p of the coupling test", True, "cells with two results or more",
     "wild bootstrap of F with Rademacher signs, right also where cells differ in variance", "Wu 1986; Liu 1988"),
    ("residuals, order of the matrix", True, "cell means",
     "additive fit by least squares, and its singular value decomposition (AMMI)", "Gauch 1988"),
    ("adjusted p of a residual", True, "complete tables with repetitions",
     "t with moderated variances; false discovery rate", "Smyth 2004; Benjamini and Hochberg 1995"),
    ("who carries it, re-ranking", True, "cell means", "ecovalence; split of the interaction",
     "Wricke 1962; Muir, Nyquist and Xu 1992"),
    ("lead, probability best", True, "backbones with two results",
     "multiple comparisons with the best, with Bonferroni's bound; draws from Student's t", "Hsu 1984"),
    ("best single optimizer, regret, gain", True, "rows without missing cells",
     "gain: chosen on all seeds but one, valued on that one", "cross-fitting"),
    ("ranks", True, "rows without missing cells",
     "Friedman, Kendall's W, Nemenyi's critical difference; Wilcoxon with Holm", "Demšar 2006"),
    ("tuned@n, shared, coupling by budget", False, "design trials",
     "the same points in all cells, drawn without replacement", "the shared design"),
    ("sensitivity", False, "design trials, never those that a sampler placed: with these a space looks easy",
     "tuning curves with exact bands; sensitivity and effective dimension",
     "Lourie, Cho and He 2024; Adkins, Bowling and White 2024"),
    ("accuracy and learning curve of a cell", False, "the setting that the search ranked first", "as in the headline",
     "Student 1908 for intervals"),
)  # fmt: skip
"""(statistic, whether of the headline, made from, method, source)."""


def methods_section(data: SweepData, analysis: Analysis) -> Section:
    """The note at the end of the page."""
    content = [
        "<h3>Left out</h3>",
        _exclusions(analysis),
        "<h3>What each statistic is made from</h3>",
        _open(_statistics(analysis)),
        "<h3>Deviations from the paper's protocol</h3>",
        _deviations(data),
    ]
    caption = (
        "Accuracies are in percentage points. A diverged trial is a result at chance; a failed one is missing; a "
        f"pruned one is never used. Random draws come from seed {analysis.seed}: the same store, the same numbers."
    )
    return section("Methods", caption, "".join(content))


def _open(table: str) -> str:
    return f'<div class="scroll open" tabindex="0">{table}</div>'


def _exclusions(analysis: Analysis) -> str:
    rows = list(_left_out(analysis))
    if not rows:
        return '<p class="note">Nothing was left out.</p>'
    return _open(
        tables.table("Everything that some statistic could not use.", ("what", "from", "why"), ("count",), rows)
    )


def _left_out(analysis: Analysis) -> Iterator[tuple[str, str, str, str]]:
    for one in analysis.excluded:
        response = "every statistic" if one.response == "all" else one.response
        yield one.what, response, one.why, f"{one.count:,}"
    if missing := analysis.coupling.n_cells_missing:
        why = "backbone and optimizer effects are fitted to the others by least squares; a missing cell is no zero"
        yield "cells without a result", f"coupling ({analysis.response})", why, f"{missing:,}"
    sections: dict[str, tuple[LeftOut, ...]] = {
        "ranks": analysis.ranks.left_out if analysis.ranks else (),
        "regret": analysis.regret.left_out if analysis.regret else (),
        "residual p-values and contrasts": analysis.contrasts.left_out if analysis.contrasts else (),
    }
    by_reason: dict[tuple[LeftOut, ...], list[str]] = {}
    for name, left in sections.items():
        by_reason.setdefault(left, []).append(name)
    for left, names in by_reason.items():
        for gone in left:
            what = f"optimizer {gone.optimizer}" if gone.optimizer else f"backbone {gone.backbone} ({gone.recipe})"
            lacking = f"; no result: {', '.join(gone.missing)}" if gone.missing else ""
            yield what, listed(names), f"{gone.why}{lacking}", "1"
    budget = analysis.coupling_by_budget
    for what, names_left in (("backbones", budget.backbones_left_out), ("optimizers", budget.optimizers_left_out)):
        if names_left:
            yield (
                what,
                "coupling by budget",
                f"too few common design points: {', '.join(names_left)}",
                str(len(names_left)),
            )


def _statistics(analysis: Analysis) -> str:
    head = analysis.response or "no headline yet"
    return tables.table(
        "The headline is the most trustworthy response with an answer: confirmed, else imported, else default.",
        ("statistic", "made from", "method", "source"),
        (),
        (
            (name, f"{head}: {made_from}" if of_headline else made_from, method, source)
            for name, of_headline, made_from, method, source in STATISTICS
        ),
    )


def _deviations(data: SweepData) -> str:
    found = deviations(data.facts, data.trials)
    if found is None:
        words = "How these results were made is not recorded, so no deviation can be listed."
        return f'<p class="note">{words}</p>' if data.trials else '<p class="note">No trial has ended yet.</p>'
    rows = [(one.aspect, one.here, one.paper) for one in found]
    warning = confounding(data.trials)
    if warning:
        rows.append(
            ("recipe as a factor", warning, "the same: weak recipes for classical networks, strong for modern")
        )
    caption = f"{counted(len(found), 'deviation')} from the CIFAR-100 protocol of {PAPER} and its released code."
    return _open(tables.table(caption, ("what", "here", "in the paper"), (), rows))
