"""The tables behind the plots: the same numbers for those who cannot see a plot or want to copy from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from orchestrator.analysis.answers.learning_curves import CurveSet
from orchestrator.analysis.answers.rate_points import ResponseSet
from orchestrator.analysis.answers.summary import SweepSummary
from orchestrator.analysis.page import wording
from orchestrator.analysis.page.document import json_text
from orchestrator.analysis.trials.cells import CellKey
from orchestrator.analysis.trials.sweep_data import Failure

LONG = 500
"""Rows from which a table would make the page slow to open."""


def table(caption: str, text: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table of plain strings, all escaped.

    Args:
        caption: What it shows.
        text: Headings of the first columns, aligned left.
        numbers: Headings of the remaining columns, aligned right.
        rows: As many strings each as there are headings; the first one is the row's heading. Of more than `LONG` rows
            the page gets the strings alone, and makes rows of them when the table is first seen.
    """
    rows = list(rows)
    head = [f'<th scope="col">{escape(name)}</th>' for name in text]
    head += [f'<th scope="col" class="number">{escape(name)}</th>' for name in numbers]
    late = ""
    if len(rows) > LONG:
        late = f'<script type="application/json" class="rows">{json_text(wording.visible_strings(rows))}</script>'
    kinds = ["<td>"] * len(text) + ['<td class="number">'] * len(numbers)
    body = [
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"{kind}{escape(value)}</td>" for kind, value in zip(kinds[1:], rest, strict=True))
        + "</tr>"
        for first, *rest in ([] if late else rows)
    ]
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{''.join(head)}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>{late}"
    )


def folded(summary: str, content: str) -> str:
    """A table that opens on a click."""
    return (
        f'<details class="table"><summary>{escape(summary)}</summary>'
        f'<div class="scroll" role="region" aria-label="{escape(summary)}" tabindex="0">{content}</div></details>'
    )


def shown(summary: str, content: str) -> str:
    """A table that stands open on the page, and scrolls where there is no room for it."""
    return f'<div class="scroll" role="region" aria-label="{escape(summary)}" tabindex="0">{content}</div>'


def curves_table(curves: CurveSet, labels: Mapping[CellKey, str]) -> str:
    """Where each learning curve starts, peaks and ends."""
    return table(
        "Validation accuracy in percent. Diverged trials end early.",
        ("backbone", "optimizer", "line", "role"),
        ("epochs", "first epoch", "highest", "last epoch"),
        (
            (
                labels[line.key],
                line.key.optimizer,
                line.name,
                line.role,
                str(line.epochs[-1]),
                wording.percent(line.val_top1[0]),
                wording.percent(max(line.val_top1)),
                wording.percent(line.val_top1[-1]),
            )
            for line in curves.lines
        ),
    )


def response_table(response: ResponseSet, labels: Mapping[CellKey, str]) -> str:
    """Each design trial that is drawn."""
    return table(
        "Design trials with a score.",
        ("backbone", "optimizer", "state"),
        ("design point", "learning rate", "score (%)"),
        (
            (
                labels[point.key],
                point.key.optimizer,
                wording.STATE_WORDS.get(point.state, point.state),
                str(point.number),
                f"{point.lr:.3g}",
                wording.percent(point.score),
            )
            for point in response.points
        ),
    )


def counts_table(summary: SweepSummary) -> str:
    """Trials of every cell by role and state."""
    return table(
        "Trials that ended.",
        ("backbone", "optimizer", "role"),
        tuple(wording.STATE_WORDS.values()),
        (
            (row.label, cell.key.optimizer, role.role, *(str(number) for _, number in role.counts.by_state()))
            for row in summary.rows
            for cell in row.cells
            for role in cell.roles
        ),
    )


def failures_table(failures: Sequence[Failure], labels: Mapping[CellKey, str]) -> str:
    """The failed trials and why."""
    return table(
        "Failed trials gave no result. `bocb logs TRIAL` shows the traceback, `bocb resume` retries them.",
        ("trial", "backbone", "optimizer", "role", "reason", "exception"),
        ("attempts",),
        (
            (
                failure.trial_id,
                labels[failure.key],
                failure.key.optimizer,
                failure.role,
                failure.reason or wording.NOTHING,
                failure.exception or wording.NOTHING,
                str(failure.attempts),
            )
            for failure in failures
        ),
    )
