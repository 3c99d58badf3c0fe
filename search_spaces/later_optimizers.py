"""Optimizers that came after the paper's twenty, each with what it needs beside a gradient.

Defaults are those of the authors (their paper, else their class). Ranges are as wide as for the paper's: 4 decades of
rates around the default and 3 decades of decoupled weight decay around that of AdamW, so that designs compare.

A gradient that is NaN makes the weight NaN, and it stays so: with Muon and SOAP the whole matrix, with Prodigy the
weight alone, but its estimate of the distance then grows no more.
"""

from __future__ import annotations

from search_spaces.optimizer_info import Grouping, OptimizerInfo, fixed, searched_decay, searched_rate

LATER: tuple[OptimizerInfo, ...] = (
    OptimizerInfo(
        name="muon",
        category="later",
        # torch's takes matrices alone: no convolution, and no AdamW for the rest.
        class_path="timm.optim:Muon",
        grouping=Grouping.MATRICES,
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.1, 0.001, 1.0),
            *fixed(
                momentum=0.95, nesterov=True, ns_steps=5, ns_coefficients="original", eps=1e-08, safety_factor=1.0
            ),
            # The step of a matrix has the size of one of AdamW's, so both take the same rate and decay.
            *fixed(adjust_lr_fn="match_rms_adamw", fallback_lr_scale=1.0, beta1=0.9, beta2=0.95),
            *fixed(conv_mode="flatten", algo="muon", scale_eps=False),
        ),
        source="Jordan et al. 2024, with the sizes of Liu et al. 2025, arXiv 2502.16982; AdamW for the rest",
    ),
    OptimizerInfo(
        name="soap",
        category="later",
        # pytorch-optimizer's, which fails where the first gradient is NaN.
        class_path="trainers.optimization.soap:SOAP",
        hyperparameters=(
            searched_rate(0.003, 3e-05, 0.3),
            searched_decay(0.01, 0.001, 1.0),
            *fixed(beta1=0.95, beta2=0.95, shampoo_beta=0.95, eps=1e-08, precondition_frequency=10),
            *fixed(max_precondition_dim=10000, precondition_1d=False, correct_bias=True, normalize_gradient=False),
            *fixed(merge_dims=False),
        ),
        source="Vyas et al. 2024, arXiv 2409.11321; the first step only starts the averages, as in the authors' code",
    ),
    OptimizerInfo(
        name="adamw_schedulefree",
        category="later",
        class_path="pytorch_optimizer:ScheduleFreeAdamW",
        hyperparameters=(
            searched_rate(0.0025, 2.5e-05, 0.25),
            searched_decay(0.0, 0.001, 1.0),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, r=0.0, weight_lr_power=2.0, decoupling_c=0, ams_bound=False),
            # The share of the run in which the rate rises, for any length of run; `warmup_steps` would add steps.
            *fixed(warmup_share=0.05, warmup_steps=0),
        ),
        averages_weights=True,
        source="Defazio et al. 2024, arXiv 2405.15682, with the bias correction of the authors' code",
    ),
    OptimizerInfo(
        name="prodigy",
        category="later",
        class_path="pytorch_optimizer:Prodigy",
        hyperparameters=(
            # A factor of the rate that it estimates.
            searched_rate(1.0, 0.01, 100.0),
            searched_decay(0.0, 0.001, 1.0),
            *fixed(beta1=0.9, beta2=0.999, beta3=0.999**0.5, eps=1e-08, d0=1e-06, d_coef=1.0),
            # No limit, as a number that JSON can hold.
            *fixed(growth_rate=1e308),
            *fixed(weight_decouple=True, fixed_decay=False, bias_correction=False),
            # What its authors ask for where the rate rises from 0, as recipes let it.
            *fixed(safeguard_warmup=True),
        ),
        source="Mishchenko and Defazio 2023, arXiv 2306.06101, algorithm 4",
    ),
)
