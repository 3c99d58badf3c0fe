"""The published optimizers: class, defaults and ranges, in the order of the paper's categories.

Defaults and ranges are those of `search_spaces.csv` in the tables of the paper (arXiv 2410.06373): the setting of
the official CIFAR-100 configs where there is one, else the class default. Learning rates span 4 decades and weight
decays 3 for every optimizer, so that equal steps on the unit cube are equal factors.

None of them repairs a gradient that is NaN: the weight becomes NaN and stays so. Lion alone takes the sign of its
momentum, which is 0 for NaN: that weight stands still from then on, but for its decay.
"""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.optimizer_info import OptimizerInfo, fixed, searched_decay, searched_rate

PUBLISHED: tuple[OptimizerInfo, ...] = (
    OptimizerInfo(
        name="sgd",
        category="a",
        class_path="torch.optim:SGD",
        hyperparameters=(
            searched_rate(0.1, 0.0003162, 3.162),
            searched_decay(0.0001, 3.162e-06, 0.003162),
            *fixed(momentum=0.9, dampening=0.0, nesterov=False),
        ),
        source="SGD with heavy-ball momentum: the paper's SGD-M",
    ),
    OptimizerInfo(
        name="sgdp",
        category="a",
        class_path="timm.optim:SGDP",
        hyperparameters=(
            searched_rate(0.1, 0.0003162, 3.162),
            searched_decay(0.0001, 3.162e-06, 0.003162),
            *fixed(momentum=0.9, dampening=0.0, nesterov=False, eps=1e-08, delta=0.1, wd_ratio=0.1, caution=False),
        ),
        source="Heo et al. 2020, arXiv 2006.08217",
    ),
    OptimizerInfo(
        name="lion",
        category="a",
        class_path="timm.optim:Lion",
        hyperparameters=(
            searched_rate(0.0001, 1e-06, 0.01),
            searched_decay(0.0, 0.001, 1.0),
            *fixed(beta1=0.9, beta2=0.99, caution=False, corrected_weight_decay=False),
        ),
        source="Chen et al. 2023, arXiv 2302.06675",
    ),
    OptimizerInfo(
        name="adam",
        category="b",
        class_path="torch.optim:Adam",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, amsgrad=False, decoupled_weight_decay=False),
        ),
        source="Kingma and Ba 2014, arXiv 1412.6980",
    ),
    OptimizerInfo(
        name="adamax",
        category="b",
        class_path="torch.optim:Adamax",
        hyperparameters=(
            searched_rate(0.002, 2e-05, 0.2),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08),
        ),
        source="Kingma and Ba 2014, arXiv 1412.6980, section 7.1",
    ),
    OptimizerInfo(
        name="nadam",
        category="b",
        class_path="torch.optim:NAdam",
        hyperparameters=(
            searched_rate(0.002, 2e-05, 0.2),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, momentum_decay=0.004, decoupled_weight_decay=False),
        ),
        source="Dozat 2016, Incorporating Nesterov momentum into Adam",
    ),
    OptimizerInfo(
        name="adamw",
        category="b",
        class_path="torch.optim:AdamW",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.05, 0.001, 1.0),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, amsgrad=False),
        ),
        source="Loshchilov and Hutter 2017, arXiv 1711.05101",
    ),
    OptimizerInfo(
        name="lamb",
        category="b",
        class_path="timm.optim:Lamb",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.02, 0.001, 1.0),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-06, max_grad_norm=1.0, bias_correction=True),
            # Without always_adapt a weight decay of 0 switches the trust ratio off: LAMB would become Adam.
            *fixed(grad_averaging=True, trust_clip=False, always_adapt=True),
            *fixed(decoupled_decay=False, caution=False, corrected_weight_decay=False),
        ),
        source="You et al. 2019, arXiv 1904.00962",
    ),
    OptimizerInfo(
        name="radam",
        category="b",
        class_path="torch.optim:RAdam",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.0001, 0.1),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, decoupled_weight_decay=True),
        ),
        source="Liu et al. 2019, arXiv 1908.03265, with the decoupled decay of its authors' code",
    ),
    OptimizerInfo(
        name="adamp",
        category="b",
        class_path="timm.optim:AdamP",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.001, 1.0),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, delta=0.1, wd_ratio=0.1, nesterov=False, caution=False),
        ),
        source="Heo et al. 2020, arXiv 2006.08217",
    ),
    OptimizerInfo(
        name="adan",
        category="b",
        # timm's has no clipping of its own.
        class_path="pytorch_optimizer:Adan",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.02, 0.001, 1.0),
            *fixed(beta1=0.98, beta2=0.92, beta3=0.99, eps=1e-08, max_grad_norm=5.0),
            # False is the proximal decay of the paper: the stepped weight is divided by 1 + lr * weight_decay.
            *fixed(weight_decouple=False),
        ),
        source="Xie et al. 2022, arXiv 2208.06677; betas are 1 minus the paper's",
    ),
    OptimizerInfo(
        name="adabelief",
        category="c",
        class_path="timm.optim:AdaBelief",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.001, 1.0),
            *fixed(beta1=0.9, beta2=0.999, eps=1e-08, rectify=True, degenerated_to_sgd=True),
            *fixed(amsgrad=False, decoupled_decay=True, fixed_decay=False),
        ),
        source="Zhuang et al. 2020, arXiv 2010.07468, rectified as its authors recommend",
    ),
    OptimizerInfo(
        name="adabound",
        category="c",
        class_path="pytorch_optimizer:AdaBound",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.0001, 0.1),
            *fixed(beta1=0.9, beta2=0.999, final_lr=0.1, gamma=0.001, eps=1e-08, ams_bound=False),
            # Decoupled (Table A2) and times the learning rate, as weight decay is for every other optimizer here.
            *fixed(weight_decouple=True, fixed_decay=False),
        ),
        source="Luo et al. 2019, arXiv 1902.09843, without the 1/sqrt(t) of its proofs, as in its authors' code",
    ),
    OptimizerInfo(
        name="adafactor",
        category="c",
        class_path="timm.optim:Adafactor",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.001, 1.0),
            *fixed(beta1=None, decay_rate=-0.8, eps=1e-30, clip_threshold=1.0),
            # Every matrix is factored, and a convolution over its output and input channels.
            *fixed(min_dim_size_to_factor=0, scale_parameter=False, warmup_init=False, caution=False),
        ),
        source="Shazeer and Stern 2018, arXiv 1804.04235, with a given learning rate",
    ),
    OptimizerInfo(
        name="lars",
        category="c",
        class_path="timm.optim:Lars",
        hyperparameters=(
            searched_rate(1.0, 0.01, 100.0),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(momentum=0.9, dampening=0.0, nesterov=False, trust_coeff=0.001, eps=1e-08, trust_clip=False),
            # Without always_adapt a weight decay of 0 switches the trust ratio off: LARS would become SGD.
            *fixed(always_adapt=True),
        ),
        source="You et al. 2017, arXiv 1708.03888",
    ),
    OptimizerInfo(
        name="novograd",
        category="c",
        class_path="timm.optim:NvNovoGrad",
        hyperparameters=(
            searched_rate(0.001, 1e-05, 0.1),
            searched_decay(0.0, 0.0001, 0.1),
            *fixed(beta1=0.95, beta2=0.98, eps=1e-08, grad_averaging=False, amsgrad=False),
            *fixed(decoupled_decay=False, corrected_weight_decay=False),
        ),
        source="Ginsburg et al. 2019, arXiv 1905.11286",
    ),
    OptimizerInfo(
        name="sophia",
        category="c",
        class_path="trainers.optimization.sophia:SophiaG",
        hyperparameters=(
            searched_rate(0.0001, 1e-06, 0.01),
            searched_decay(0.1, 0.0003162, 0.3162),
            # The curvature is estimated anew before every tenth step, in a backward pass of its own.
            *fixed(beta1=0.965, beta2=0.99, rho=0.04, hessian_period=10, eps=1e-12),
        ),
        source="Liu et al. 2023, arXiv 2305.14342: SophiaG, with its Gauss-Newton-Bartlett estimate",
    ),
    OptimizerInfo(
        name="adagrad",
        category="d",
        class_path="torch.optim:Adagrad",
        hyperparameters=(
            searched_rate(0.01, 1e-05, 0.1),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(eps=1e-10, initial_accumulator_value=0.0, lr_decay=0.0),
        ),
        source="Duchi et al. 2011, Adaptive subgradient methods",
    ),
    OptimizerInfo(
        name="adadelta",
        category="d",
        class_path="torch.optim:Adadelta",
        hyperparameters=(
            searched_rate(1.0, 0.01, 100.0),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(rho=0.9, eps=1e-06),
        ),
        source="Zeiler 2012, arXiv 1212.5701",
    ),
    OptimizerInfo(
        name="rmsprop",
        category="d",
        class_path="torch.optim:RMSprop",
        hyperparameters=(
            searched_rate(0.01, 1e-05, 0.1),
            searched_decay(0.0, 3.162e-06, 0.003162),
            *fixed(alpha=0.99, eps=1e-08, momentum=0.0, centered=False),
        ),
        source="Tieleman and Hinton 2012, lecture 6.5, without momentum",
    ),
)

SHORT_NAMES: Mapping[str, str] = {
    "SGD-M": "sgd",
    "SGDP": "sgdp",
    "LION": "lion",
    "Adam": "adam",
    "Adamax": "adamax",
    "NAdam": "nadam",
    "AdamW": "adamw",
    "LAMB": "lamb",
    "RAdam": "radam",
    "AdamP": "adamp",
    "Adan": "adan",
    "AdaBound": "adabound",
    "LARS": "lars",
    "AdaFactor": "adafactor",
    "AdaBelief": "adabelief",
    "NovoGrad": "novograd",
    "Sophia": "sophia",
    "AdaGrad": "adagrad",
    "AdaDelta": "adadelta",
    "RMSProp": "rmsprop",
}
"""What the paper's tables call them, in the order of its Table 1."""

PAPER20: tuple[str, ...] = tuple(SHORT_NAMES.values())
