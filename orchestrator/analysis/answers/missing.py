"""What a reader must know before believing a number: what has not ended, failed, or stands on too little."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.analysis.counted import counted
from orchestrator.analysis.trials.counts import Counts, RoleCounts
from orchestrator.analysis.trials.headline import Headline, Source


def what_is_missing(
    counts: Counts, roles: Sequence[RoleCounts], planned: int | None, headlines: Sequence[Headline | None]
) -> tuple[str, ...]:
    """One sentence for each thing that is not there.

    Args:
        counts: Trials by state.
        roles: The same by role.
        planned: Trials of the whole plan; None where it is not known.
        headlines: Of every cell; None where it has no score.
    """
    known = [headline for headline in headlines if headline is not None]
    cells, empty = len(headlines), len(headlines) - len(known)
    unconfirmed = sum(headline.source not in (Source.CONFIRM, Source.IMPORTED) for headline in known)
    single = sum(headline.source != Source.SEARCH and headline.estimate.n == 1 for headline in known)
    imported = sum(role.counts.ended for role in roles if role.role == "imported")
    notes = []
    if planned is not None and counts.ended < planned:
        notes.append(f"{counts.ended:,} of {planned:,} trials have ended; the numbers below will change.")
    if planned is None:
        notes.append("The store does not say how many trials were planned.")
    if imported:
        notes.append(
            f"{counted(imported, 'result')} from elsewhere: how they were tuned, trained and scored is not recorded."
        )
    if counts.failed:
        remedy = "they are missing in what was imported" if imported else "they can be retried"
        notes.append(f"{counted(counts.failed, 'trial')} failed and gave no result: {remedy}.")
    if empty:
        notes.append(f"{counted(empty, 'cell')} of {cells} without any score{'' if imported else ' yet'}.")
    if unconfirmed:
        notes.append(f"{counted(unconfirmed, 'cell')} of {cells} not confirmed with fresh seeds yet.")
    if single:
        notes.append(f"{counted(single, 'cell')} with a single repetition, so without an interval.")
    return tuple(notes)
