"""Whether a sweep's checkpoints fit into the bytes that its spec allows, known before anything runs."""

from __future__ import annotations

from orchestrator.errors import SpecError
from orchestrator.planning.plan import Plan, Role


def check_budget(plan: Plan, slots: int) -> None:
    """Refuses a sweep whose checkpoints could take more than `checkpoints.max_bytes`.

    Counted are two files for each trial that runs (an attempt's own and, until that is written whole, the one it
    replaces or went on from) and one for each trial whose checkpoint `checkpoints.keep` keeps. Not counted, because
    nobody knows beforehand how many there will be: checkpoints of trials that FAIL, kept for a retry whatever `keep`
    says; of trials that were stopped or lost and wait for their next attempt; and of trials that an edit of the spec
    dropped.

    Args:
        plan: The plan.
        slots: Trials that run at once.

    Raises:
        SpecError: Naming what is needed and what is allowed.
    """
    limit = plan.spec.checkpoints.max_bytes
    if limit is None:
        return
    largest = _largest(plan)
    kept = _kept_trials(plan)
    needed = largest * (2 * slots + kept)
    if needed > limit:
        raise SpecError(
            f"checkpoints.max_bytes = {limit}, but {slots} trials at once and {kept} kept checkpoints of up to "
            f"{largest} bytes can take {needed}; raise it, lower resources.max_concurrent, or set "
            'checkpoints.keep = "none" (checkpoints of failed trials come on top: they are kept for a retry)'
        )


def _kept_trials(plan: Plan) -> int:
    match plan.spec.checkpoints.keep:
        case "all":
            return plan.trials
        case "confirm":
            return plan.trials_by_role()[Role.CONFIRM]
        case "none":
            return 0


def _largest(plan: Plan) -> int:
    """Bytes of the largest checkpoint of any cell."""
    # Deferred: networks are built, which needs torch.
    from trainers.sizes import checkpoint_bytes, network_of

    largest = 0
    for name, backbone in plan.backbones.items():
        cells = [cell for cell in plan.cells if cell.backbone.name == name]
        network = network_of(backbone, plan.data, cells[0].image_size)
        pairs = {(cell.optimizer.name, cell.recipe.ema_decay is not None): cell.optimizer for cell in cells}
        for (_, has_average), optimizer in pairs.items():
            largest = max(largest, checkpoint_bytes(network, optimizer, has_average=has_average))
    return largest
