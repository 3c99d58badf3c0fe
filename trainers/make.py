"""The one place that chooses a trainer for a config."""

from __future__ import annotations

from trainers.config import TrialConfig
from trainers.trainer import Trainer


def make_trainer(config: TrialConfig) -> Trainer:
    """The trainer for a config, ready for its first epoch.

    Raises:
        UserError: The config asks for something that cannot be built.
    """
    # Deferred: synthetic trials run in milliseconds and must not wait for torch.
    if config.data.name == "synthetic":
        from trainers.synthetic import SyntheticTrainer

        return SyntheticTrainer(config)
    from trainers.vision import VisionTrainer

    return VisionTrainer(config)
