"""What the paper's released code computes where that is not the published algorithm of the name.

They have the search space of the published one, so that the two differ in the algorithm alone. What each was compared
with is in the README of the tables of the paper (arXiv 2410.06373). A gradient that is NaN shows as in the published
ones; `sophia_released` is a Lion, whose weight stands still.
"""

from __future__ import annotations

from search_spaces.optimizer_info import OptimizerInfo, fixed, searched_decay, searched_rate

_UNCAPPED = 1 - 2**-53
"""The largest cap of beta2 that the class of Adafactor takes. The released code has no cap; the default, 0.999,
would act from step 5624 on."""

RELEASED: tuple[OptimizerInfo, ...] = (
    OptimizerInfo(
        name="radam_released",
        category="b",
        class_path="torch.optim:RAdam",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.0001, 0.1),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, decoupled_weight_decay=False),
        ),
        source="the paper's code: RAdam with its decay added to the gradient",
    ),
    OptimizerInfo(
        name="adabound_released",
        category="c",
        class_path="pytorch_optimizer:AdaBound",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.0001, 0.1),
            *fixed(beta1=0.9, beta2=0.999, final_lr=0.1, gamma=0.001, eps=1e-08, ams_bound=False),
            *fixed(weight_decouple=False, fixed_decay=False),
        ),
        source="the paper's code: AdaBound with its decay added to the gradient",
    ),
    OptimizerInfo(
        name="adafactor_released",
        category="c",
        class_path="pytorch_optimizer:AdaFactor",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.001, 1.0),
            *fixed(beta1=None, beta2=_UNCAPPED, decay_rate=-0.8, eps1=1e-30, clip_threshold=1.0),
            *fixed(weight_decouple=True, fixed_decay=False, ams_bound=False),
            *fixed(scale_parameter=False, relative_step=False, warmup_init=False),
        ),
        source="the paper's code: Adafactor that factors the last two dimensions, of a convolution its kernel",
    ),
    OptimizerInfo(
        name="lars_released",
        category="c",
        class_path="torch.optim:SGD",
        hyperparameters=(
            searched_rate(1.0, 0.01, 100.0),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(momentum=0.9, dampening=0.0, nesterov=False),
        ),
        source="the paper's code: LARS that never applies its trust ratio, so SGD with the ranges of LARS",
    ),
    OptimizerInfo(
        name="sophia_released",
        category="c",
        # Lion's step is the sign of an average that it looks ahead with beta1; with equal betas it is the average.
        class_path="timm.optim:Lion",
        hyperparameters=(
            searched_rate(0.0001, 1e-06, 0.01),
            searched_decay(0.1, 0.0003162, 0.3162),
            *fixed(beta1=0.965, beta2=0.965, caution=False, corrected_weight_decay=False),
        ),
        source="the paper's code: Sophia that never estimates a curvature, so the sign of its momentum",
    ),
)
