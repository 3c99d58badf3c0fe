"""One step of every optimizer in float64 NumPy, written from the papers: what the classes are compared with.

Each function takes a tensor, its gradient, the step's number from 1, the hyper-parameters and the tensor's own state,
and returns the stepped tensor. Constants that keep a denominator above 0 stand where the classes have them; papers
often leave them out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Settings = Mapping[str, Any]
State = dict[str, Array]
Update = Callable[[Array, Array, int, Settings, State], Array]


def average(state: State, name: str, value: Array, beta: float) -> Array:
    """The exponential moving average of `value`, kept in `state`, from 0."""
    state[name] = beta * state.get(name, np.zeros_like(value)) + (1 - beta) * value
    return state[name]


def norm(array: Array) -> float:
    return float(np.sqrt(np.sum(array**2)))


def clipped(gradients: Sequence[Array], hp: Settings) -> list[Array]:
    """Gradients scaled so that their common norm is at most `max_grad_norm`, where the optimizer has one."""
    total = math.sqrt(sum(norm(gradient) ** 2 for gradient in gradients))
    scale = min(1.0, hp.get("max_grad_norm", math.inf) / total)
    return [gradient * scale for gradient in gradients]


def sgd(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Sutskever et al. 2013, eq. 1 and 2, with the rate outside the velocity; decay in the gradient."""
    g = g + hp["weight_decay"] * w
    state["v"] = hp["momentum"] * state["v"] + g if "v" in state else g
    return w - hp["lr"] * state["v"]


def projected(w: Array, g: Array, step: Array, hp: Settings) -> tuple[Array, float]:
    """Heo et al. 2020, arXiv 2006.08217, the projection: per channel, else per layer, the part along a
    scale-invariant weight is taken out. The second result is the factor of the weight decay."""
    if w.ndim < 2:
        return step, 1.0
    for view in ((len(w), -1), (1, -1)):
        rows, slopes, steps = w.reshape(view), g.reshape(view), step.reshape(view)
        lengths = np.linalg.norm(rows, axis=1)
        cosines = np.abs((rows * slopes).sum(axis=1)) / (lengths * np.linalg.norm(slopes, axis=1))
        if cosines.max() < hp["delta"] / math.sqrt(rows.shape[1]):
            units = rows / lengths[:, None]
            tangent = steps - units * (units * steps).sum(axis=1, keepdims=True)
            return tangent.reshape(w.shape), hp["wd_ratio"]
    return step, 1.0


def sgdp(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Heo et al. 2020, algorithm 1; decay divided by 1 - momentum, as in the authors' code."""
    state["p"] = hp["momentum"] * state.get("p", np.zeros_like(w)) + g
    step, ratio = projected(w, g, state["p"], hp)
    return w * (1 - hp["lr"] * hp["weight_decay"] * ratio / (1 - hp["momentum"])) - hp["lr"] * step


def lion(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Chen et al. 2023, arXiv 2302.06675, algorithm 2."""
    momentum = state.get("m", np.zeros_like(w))
    step = np.sign(hp["beta1"] * momentum + (1 - hp["beta1"]) * g)
    state["m"] = hp["beta2"] * momentum + (1 - hp["beta2"]) * g
    return w - hp["lr"] * (step + hp["weight_decay"] * w)


def adam_step(g: Array, t: int, hp: Settings, state: State) -> Array:
    """Kingma and Ba 2014, arXiv 1412.6980, algorithm 1, for a rate of 1."""
    m = average(state, "m", g, hp["beta1"]) / (1 - hp["beta1"] ** t)
    v = average(state, "v", g**2, hp["beta2"]) / (1 - hp["beta2"] ** t)
    return m / (np.sqrt(v) + hp["eps"])


def adam(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Kingma and Ba 2014, algorithm 1, with decay in the gradient."""
    return w - hp["lr"] * adam_step(g + hp["weight_decay"] * w, t, hp, state)


def adamw(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Loshchilov and Hutter 2017, arXiv 1711.05101, algorithm 2, with the decay times the whole rate."""
    return w - hp["lr"] * (adam_step(g, t, hp, state) + hp["weight_decay"] * w)


def adamax(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Kingma and Ba 2014, algorithm 2."""
    g = g + hp["weight_decay"] * w
    m = average(state, "m", g, hp["beta1"]) / (1 - hp["beta1"] ** t)
    state["u"] = np.maximum(hp["beta2"] * state.get("u", np.zeros_like(w)), np.abs(g) + hp["eps"])
    return w - hp["lr"] * m / state["u"]


def nadam(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Dozat 2016, Nadam, with its schedule mu_t = beta1 (1 - 0.5 * 0.96^(t * decay))."""
    g = g + hp["weight_decay"] * w
    now, after = (hp["beta1"] * (1 - 0.5 * 0.96 ** (step * hp["momentum_decay"])) for step in (t, t + 1))
    product = state["product"] = state.get("product", np.ones(())) * now
    m = average(state, "m", g, hp["beta1"])
    v = average(state, "v", g**2, hp["beta2"]) / (1 - hp["beta2"] ** t)
    look_ahead = after * m / (1 - product * after) + (1 - now) * g / (1 - product)
    return w - hp["lr"] * look_ahead / (np.sqrt(v) + hp["eps"])


def lamb(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """You et al. 2019, arXiv 1904.00962, algorithm 2, phi the identity; no ratio for exempt parameters."""
    step = adam_step(g, t, hp, state) + hp["weight_decay"] * w
    ratio = norm(w) / norm(step) if hp["always_adapt"] else 1.0
    return w - hp["lr"] * ratio * step


def rectified_step(g: Array, second: Array, t: int, hp: Settings, state: State) -> Array:
    """Liu et al. 2019, arXiv 1908.03265, algorithm 2, for a rate of 1. Its authors' code, like torch, asks for an
    average of length 5 where the paper asks for more than 4: it rectifies one step later."""
    m = state["m"] / (1 - hp["beta1"] ** t)
    longest = 2 / (1 - hp["beta2"]) - 1
    length = longest - 2 * t * hp["beta2"] ** t / (1 - hp["beta2"] ** t)
    if length < 5:
        return m
    r = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
    return r * m * math.sqrt(1 - hp["beta2"] ** t) / (np.sqrt(second) + hp["eps"])


def radam(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Liu et al. 2019, algorithm 2; decay apart from the gradient, or within it where the code released has it so."""
    decay = hp["weight_decay"] * w
    if not hp["decoupled_weight_decay"]:
        g = g + decay
    average(state, "m", g, hp["beta1"])
    step = rectified_step(g, average(state, "v", g**2, hp["beta2"]), t, hp, state)
    return w - hp["lr"] * (step + decay * hp["decoupled_weight_decay"])


def adamp(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Heo et al. 2020, algorithm 2."""
    step, ratio = projected(w, g, adam_step(g, t, hp, state), hp)
    return w - hp["lr"] * (step + hp["weight_decay"] * ratio * w)


def adan(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Xie et al. 2022, arXiv 2208.06677, algorithm 1, betas being 1 minus the paper's, each average corrected for its
    start as in the authors' code."""
    beta1, beta2, beta3 = hp["beta1"], hp["beta2"], hp["beta3"]
    change = g - state.get("g", g)
    state["g"] = g
    m = average(state, "m", g, beta1) / (1 - beta1**t)
    v = average(state, "v", change, beta2) / (1 - beta2**t)
    n = average(state, "n", (g + beta2 * change) ** 2, beta3) / (1 - beta3**t)
    stepped = w - hp["lr"] / (np.sqrt(n) + hp["eps"]) * (m + beta2 * v)
    return stepped / (1 + hp["lr"] * hp["weight_decay"])


def adabelief(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Zhuang et al. 2020, arXiv 2010.07468, algorithm 2 (epsilon enters the average at every step), rectified."""
    m = average(state, "m", g, hp["beta1"])
    state["s"] = average(state, "s", (g - m) ** 2, hp["beta2"]) + hp["eps"]
    return w - hp["lr"] * (rectified_step(g, state["s"], t, hp, state) + hp["weight_decay"] * w)


def adabound(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Luo et al. 2019, arXiv 1902.09843, algorithm 2 with Adam's bias correction, without its 1/sqrt(t),
    with the bounds final_lr (1 - 1 / (gamma t + 1)) and final_lr (1 + 1 / (gamma t)), as in the authors' code."""
    decay = hp["weight_decay"] * w
    if not hp["weight_decouple"]:
        g = g + decay
    m, v = average(state, "m", g, hp["beta1"]), average(state, "v", g**2, hp["beta2"])
    correction = math.sqrt(1 - hp["beta2"] ** t) / (1 - hp["beta1"] ** t)
    low = hp["final_lr"] * (1 - 1 / (hp["gamma"] * t + 1))
    high = hp["final_lr"] * (1 + 1 / (hp["gamma"] * t))
    rates = np.clip(hp["lr"] * correction / (np.sqrt(v) + hp["eps"]), low, high)
    return w - rates * m - hp["lr"] * decay * hp["weight_decouple"]


def factored(w: Array, g: Array, t: int, hp: Settings, state: State, axes: tuple[int, int], tiny: float) -> Array:
    """Shazeer and Stern 2018, arXiv 1804.04235, algorithms 4 (matrices) and 5 (vectors), with a given rate, the beta2
    of section 7.2 and the clipping of section 6."""
    beta2 = 1 - t ** hp["decay_rate"]
    squares = g**2 + tiny
    if w.ndim < 2:
        second = average(state, "v", squares, beta2)
    else:
        rows = average(state, "r", squares.sum(axis=axes[1], keepdims=True), beta2)
        columns = average(state, "c", squares.sum(axis=axes[0], keepdims=True), beta2)
        second = rows * columns / rows.sum(axis=axes[0], keepdims=True)
    step = g / np.sqrt(second)
    step = step / max(1.0, norm(step) / math.sqrt(step.size) / hp["clip_threshold"])
    return w - hp["lr"] * (step + hp["weight_decay"] * w)


def adafactor(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Rows and columns are the output and input channels of a convolution."""
    return factored(w, g, t, hp, state, (0, 1), hp["eps"])


def adafactor_released(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Rows and columns are those of the kernel of a convolution, one matrix per pair of channels."""
    return factored(w, g, t, hp, state, (-2, -1), hp["eps1"])


def lars(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """You et al. 2017, arXiv 1708.03888, algorithm 1; no local rate for exempt parameters. (With a rate that changes,
    the paper's velocity holds the rates of earlier steps and the class's does not.)"""
    ratio = 1.0
    if hp["always_adapt"]:
        ratio = hp["trust_coeff"] * norm(w) / (norm(g) + hp["weight_decay"] * norm(w))
    step = ratio * (g + hp["weight_decay"] * w)
    state["v"] = hp["momentum"] * state.get("v", np.zeros_like(w)) + step
    return w - hp["lr"] * state["v"]


def novograd(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Ginsburg et al. 2019, arXiv 1905.11286, algorithm 1."""
    square = np.asarray(norm(g) ** 2)
    state["v"] = hp["beta2"] * state["v"] + (1 - hp["beta2"]) * square if "v" in state else square
    step = g / (np.sqrt(state["v"]) + hp["eps"]) + hp["weight_decay"] * w
    state["m"] = hp["beta1"] * state.get("m", np.zeros_like(w)) + step
    return w - hp["lr"] * state["m"]


def sampled_gradient(shape: tuple[int, ...], t: int) -> Array:
    """The gradient of a loss of sampled labels before step t, made up; `SAMPLED_TERMS` terms were averaged."""
    return np.random.default_rng((1, t)).normal(size=shape)


SAMPLED_TERMS = 1000
"""So many that Sophia clips some of its steps and others not."""


def sophia(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Liu et al. 2023, arXiv 2305.14342, algorithm 3 with the estimate of algorithm 2, line 6."""
    m = average(state, "m", g, hp["beta1"])
    if t % hp["hessian_period"] == 1 % hp["hessian_period"]:
        average(state, "h", SAMPLED_TERMS * sampled_gradient(w.shape, t) ** 2, hp["beta2"])
    decayed = w - hp["lr"] * hp["weight_decay"] * w
    return decayed - hp["lr"] * np.clip(m / np.maximum(hp["rho"] * state["h"], hp["eps"]), -1, 1)


def sophia_released(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """The same with no estimate ever: h is 0, and what is divided by the least denominator is clipped to a sign."""
    m = average(state, "m", g, hp["beta1"])
    decayed = w - hp["lr"] * hp["weight_decay"] * w
    return decayed - hp["lr"] * np.clip(m / 1e-12, -1, 1)


def adagrad(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Duchi et al. 2011, with the diagonal of G."""
    g = g + hp["weight_decay"] * w
    state["s"] = state.get("s", np.zeros_like(w)) + g**2
    return w - hp["lr"] * g / (np.sqrt(state["s"]) + hp["eps"])


def adadelta(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Zeiler 2012, arXiv 1212.5701, algorithm 1, its step times the rate."""
    g = g + hp["weight_decay"] * w
    second = average(state, "g", g**2, hp["rho"])
    step = np.sqrt(state.get("d", np.zeros_like(w)) + hp["eps"]) / np.sqrt(second + hp["eps"]) * g
    average(state, "d", step**2, hp["rho"])
    return w - hp["lr"] * step


def rmsprop(w: Array, g: Array, t: int, hp: Settings, state: State) -> Array:
    """Tieleman and Hinton 2012, lecture 6.5."""
    g = g + hp["weight_decay"] * w
    return w - hp["lr"] * g / (np.sqrt(average(state, "v", g**2, hp["alpha"])) + hp["eps"])


UPDATES: Mapping[str, Update] = {
    update.__name__: update
    for update in (
        *(sgd, sgdp, lion, adam, adamax, nadam, adamw, lamb, radam, adamp, adan),
        *(adabelief, adabound, adafactor, adafactor_released, lars, novograd, adagrad, adadelta, rmsprop),
        *(sophia, sophia_released),
    )
} | {"radam_released": radam, "adabound_released": adabound, "lars_released": sgd}
