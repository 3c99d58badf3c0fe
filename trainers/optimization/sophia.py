"""SophiaG, which no library has right: its curvature comes from the trainer, in a backward pass of its own.

Liu et al. 2023, arXiv 2305.14342: algorithm 3 with the Gauss-Newton-Bartlett estimator of algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT


class SophiaG(Optimizer):
    """Momentum divided by an estimate of the curvature and clipped to 1, with a decay apart from the step.

    With gradient g, rate lr and the estimate ĥ of a step 1, 1 + k, 1 + 2k, ... (k is `hessian_period`):

        m = beta1 m + (1 - beta1) g
        h = beta2 h + (1 - beta2) ĥ, in these steps only
        w = (1 - lr weight_decay) w - lr clip(m / max(rho h, eps), -1, 1)

    `rho` is the paper's gamma. It implements `trainers.optimization.curvature.CurvatureOptimizer`.

    A gradient or an estimate that is NaN makes the weight NaN, which stays so.

    Raises:
        ValueError: A hyper-parameter lies outside its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.965, 0.99),
        rho: float = 0.04,
        weight_decay: float = 0.1,
        hessian_period: int = 10,
        eps: float = 1e-12,
    ) -> None:
        if min(lr, rho, weight_decay) < 0 or eps <= 0:
            raise ValueError("lr, rho and weight_decay must be at least 0, and eps above it")
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas must lie in [0, 1); got {betas}")
        if hessian_period < 1 or hessian_period != int(hessian_period):
            raise ValueError(f"hessian_period must be a whole number of steps, at least 1; got {hessian_period}")
        defaults: dict[str, Any] = {"lr": lr, "betas": betas, "rho": rho, "weight_decay": weight_decay}
        # Counted in the groups, because that is what a state_dict keeps beside the tensors.
        counts = {"steps": 0, "estimates": 0}
        super().__init__(params, {**defaults, "hessian_period": hessian_period, "eps": eps, **counts})

    @property
    def needs_curvature(self) -> bool:
        """Whether the next step wants an estimate that it does not have yet."""
        group = self.param_groups[0]
        return bool(group["estimates"] <= group["steps"] // group["hessian_period"])

    @property
    def estimates(self) -> int:
        """How many estimates it was given: forward and backward passes beside those of the steps."""
        return int(self.param_groups[0]["estimates"])

    @torch.no_grad()
    def update_curvature(self, terms: int) -> None:
        """Takes up the estimate `terms` * g * g, g being the gradient that a sampled loss left.

        Args:
            terms: How many sampled terms that loss is the mean of (`trainers.optimization.curvature.sampled_terms`).
        """
        for group in self.param_groups:
            group["estimates"] += 1
            weight = (1 - group["betas"][1]) * terms
            for parameter in group["params"]:
                if parameter.grad is not None:
                    hessian = self._state_of(parameter)["hessian"]
                    hessian.mul_(group["betas"][1]).addcmul_(parameter.grad, parameter.grad, value=weight)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step.

        Raises:
            RuntimeError: It needs an estimate first: with none Sophia would be the sign of a momentum.
        """
        if self.needs_curvature:
            raise RuntimeError(f"Sophia needs an estimate of the curvature before step {self._steps + 1}")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["steps"] += 1
            self._step_group(group)
        return loss

    @property
    def _steps(self) -> int:
        return int(self.param_groups[0]["steps"])

    def _step_group(self, group: dict[str, Any]) -> None:
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not parameters:
            return
        gradients = [parameter.grad for parameter in parameters]
        states = [self._state_of(parameter) for parameter in parameters]
        momenta = [state["exp_avg"] for state in states]
        torch._foreach_lerp_(momenta, gradients, 1 - group["betas"][0])
        curvature = torch._foreach_mul([state["hessian"] for state in states], group["rho"])
        torch._foreach_clamp_min_(curvature, group["eps"])
        steps = torch._foreach_div(momenta, curvature)
        torch._foreach_clamp_min_(steps, -1.0)
        torch._foreach_clamp_max_(steps, 1.0)
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, steps, alpha=-group["lr"])

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[parameter]
        if not state:
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["hessian"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state
