"""How robust backbones and optimizers are, as two compact tables; and accuracy on corrupted images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.analysis.answers.corruptions import CorruptionAnswer
from orchestrator.analysis.answers.robustness_records import Robustness, SideRobustness
from orchestrator.analysis.counted import counted
from orchestrator.analysis.page import tables, wording
from orchestrator.analysis.page.section import Section, section
from orchestrator.analysis.trials.cells import CellKey

OPEN_ROWS = 24
"""Rows of a table that stands open on the page."""
COLUMNS = {
    "sd over seeds": "points, pooled over cells, with its degrees of freedom",
    "sd over the others": "of a backbone's results over optimizers; of an optimizer's over backbones, each less its "
    "backbone's mean",
    "hp distance": "mean steps of tuned learning rate and weight decay from their mode, each on its own list",
    "from default": "decades from the default learning rate to the nearest one within a point of the best, median; "
    "in brackets, cells whose default is itself as good",
    "lr width": "decades of learning rates that do, median",
    "diverged": "percent, with an exact 95 % interval",
}


def robustness_section(answer: Robustness, labels: Mapping[CellKey, str]) -> Section:
    """The tables; nothing while there is nothing to put in them."""
    names = {(key.backbone, key.recipe): label for key, label in labels.items()}
    backbones = [
        (names.get((one.backbone or "", one.recipe or ""), one.backbone or ""), one) for one in answer.backbones
    ]
    optimizers = [(one.optimizer or "", one) for one in answer.optimizers]
    if not any(_says_something(one) for _, one in (*backbones, *optimizers)):
        return Section()
    entries = [_entries(one) for _, one in (*backbones, *optimizers)]
    columns = [place for place in range(len(COLUMNS)) if any(values[place] != wording.NOTHING for values in entries)]
    content = _sides("backbone", backbones, columns) + _sides("optimizer", optimizers, columns)
    if answer.corruption is not None:
        content += _corruption(answer.corruption, labels)
    return section("Robustness", _caption(answer, columns), content)


def _says_something(one: SideRobustness) -> bool:
    return any(
        value is not None
        for value in (one.hp_distance.own_list, one.seeds, one.lr_width_median, one.divergence, one.std)
    )


def _caption(answer: Robustness, columns: Sequence[int]) -> str:
    parts = ["The smaller, the more robust, but for the width of good learning rates."]
    parts += [f"{name.capitalize()}: {COLUMNS[name]}." for name in _chosen(tuple(COLUMNS), columns)]
    settings = answer.confirmed_settings + answer.searched_settings
    if answer.searched_settings:
        parts.append(
            f"The tuned setting of {answer.searched_settings} of {counted(settings, 'cell')} is only the best of its "
            "search so far."
        )
    if answer.seed_variance is None:
        parts.append("No cell has two seeds yet: nothing is known of their spread.")
    return " ".join(parts)


def _sides(what: str, sides: Sequence[tuple[str, SideRobustness]], columns: Sequence[int]) -> str:
    """One table; columns that are empty in all of them are left out."""
    content = tables.table(
        f"Robustness of each {what}.",
        (what,),
        _chosen(tuple(COLUMNS), columns),
        ((name, *_chosen(_entries(one), columns)) for name, one in sides),
    )
    return _shown(f"Robustness of each {what} as a table", content, len(sides))


def _chosen(values: Sequence[str], columns: Sequence[int]) -> tuple[str, ...]:
    return tuple(values[place] for place in columns)


def _shown(summary: str, content: str, rows: int) -> str:
    return tables.folded(summary, content) if rows > OPEN_ROWS else tables.shown(summary, content)


def _entries(one: SideRobustness) -> tuple[str, ...]:
    seeds, distance, default, diverged = one.seeds, one.hp_distance.own_list, one.default_distance, one.divergence
    return (
        f"{seeds.sd:.2f} (df {seeds.df})" if seeds else wording.NOTHING,
        wording.number(one.std),
        f"{distance.mean_ordinal:.2f} (n = {distance.n})" if distance else wording.NOTHING,
        f"{wording.number(default.median_decades)} ({default.default_optimal} of {default.default_known})"
        if default
        else wording.NOTHING,
        wording.number(one.lr_width_median),
        f"{100 * diverged.rate:.1f} [{100 * diverged.low:.1f}, {100 * diverged.high:.1f}]"
        if diverged
        else wording.NOTHING,
    )


def _corruption(answer: CorruptionAnswer, labels: Mapping[CellKey, str]) -> str:
    if not answer.cells:
        return ""
    cells = {
        CellKey(backbone=cell.backbone, recipe=cell.recipe, optimizer=cell.optimizer): cell for cell in answer.cells
    }
    rows = [
        (
            labels[key],
            cell.optimizer,
            str(cell.trials),
            wording.number(cell.clean),
            wording.number(cell.corrupted),
            wording.number(cell.drop),
            wording.number(cell.matched_drop),
            wording.number(cell.error.mce, 1),
            wording.number(cell.error.relative_mce, 1),
        )
        for key in labels
        if (cell := cells.get(key)) is not None
    ]
    content = tables.table(
        f"Confirmed networks on corrupted images: {counted(len(answer.corruptions), 'corruption')} in severities "
        f"{', '.join(map(str, answer.severities))}; accuracies in percent, drops in points. Matched drop: as if all "
        "cells had the same clean accuracy. mCE: error in percent of the mean error of all cells of this sweep.",
        ("backbone", "optimizer"),
        ("trials", "clean", "corrupted", "drop", "matched drop", "mCE", "relative mCE"),
        rows,
    )
    if answer.dropped_trials:
        content += f'<p class="note">{counted(answer.dropped_trials, "evaluated trial")} not used.</p>'
    return f"<h3>Corrupted images</h3>{_shown('The accuracies as a table', content, len(rows))}"
