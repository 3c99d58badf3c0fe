"""The optimizers that came after the paper's twenty, in float64 NumPy, written from their papers.

Each takes the weights by name, the gradients of every step as a function of weights and step, the rate of every step
and the hyper-parameters, and returns the weights after the last step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.published_updates import Array, adamw, norm

Weights = Mapping[str, Array]
Slopes = Callable[[Weights, int], dict[str, Array]]
Settings = Mapping[str, Any]

EXEMPT = frozenset({"vector"})


def decay_of(name: str, hp: Settings) -> float:
    return 0.0 if name in EXEMPT else float(hp["weight_decay"])


def orthogonalised(matrix: Array, steps: int) -> Array:
    """Jordan et al. 2024: Newton-Schulz iterations with the quintic whose slope at 0 is 3.4445."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / norm(wide)
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def muon(
    weights: Weights, slopes: Slopes, rates: Sequence[float], hp: Settings, matrices: frozenset[str]
) -> dict[str, Array]:
    """Liu et al. 2025, arXiv 2502.16982, eq. 4, for matrices; AdamW for others."""
    w = dict(weights)
    momentum = {name: np.zeros_like(array) for name, array in w.items()}
    states: dict[str, dict[str, Array]] = {name: {} for name in w}
    for t, rate in enumerate(rates, 1):
        for name, g in slopes(w, t).items():
            decay = 0.0 if w[name].ndim < 2 else hp["weight_decay"]
            if name not in matrices:
                w[name] = adamw(w[name], g, t, {**hp, "lr": rate, "weight_decay": decay}, states[name])
                continue
            momentum[name] = hp["momentum"] * momentum[name] + (1 - hp["momentum"]) * g
            ahead = hp["momentum"] * momentum[name] + (1 - hp["momentum"]) * g
            flat = ahead.reshape(len(ahead), -1)
            step = 0.2 * math.sqrt(max(flat.shape)) * orthogonalised(flat, hp["ns_steps"])
            w[name] = w[name] - rate * (step.reshape(g.shape) + decay * w[name])
    return w


def unfolded(array: Array, mode: int) -> Array:
    return np.moveaxis(array, mode, 0).reshape(array.shape[mode], -1)


def rotated(array: Array, bases: Sequence[Array], *, back: bool = False) -> Array:
    for mode, q in enumerate(bases):
        array = np.moveaxis(np.tensordot(q if back else q.T, array, axes=(1, mode)), 0, mode)
    return array


def soap(weights: Weights, slopes: Slopes, rates: Sequence[float], hp: Settings) -> dict[str, Array]:
    """Vyas et al. 2024, arXiv 2409.11321, algorithms 3 and 4: the first gradient only starts the averages."""
    w = dict(weights)
    m, v = ({name: np.zeros_like(array) for name, array in w.items()} for _ in range(2))
    grams: dict[str, list[Array]] = {}
    bases: dict[str, list[Array]] = {}
    for t, rate in enumerate(rates):
        for name, g in slopes(w, t + 1).items():
            modes = range(g.ndim) if g.ndim > 1 else ()
            new = [unfolded(g, mode) @ unfolded(g, mode).T for mode in modes]
            if t == 0:
                grams[name] = [(1 - hp["shampoo_beta"]) * gram for gram in new]
                bases[name] = [np.linalg.eigh(gram)[1][:, ::-1] for gram in grams[name]]
                continue
            m[name] = hp["beta1"] * m[name] + (1 - hp["beta1"]) * g
            v[name] = hp["beta2"] * v[name] + (1 - hp["beta2"]) * rotated(g, bases[name]) ** 2
            correction = math.sqrt(1 - hp["beta2"] ** t) / (1 - hp["beta1"] ** t)
            step = rotated(m[name], bases[name]) / (np.sqrt(v[name]) + hp["eps"])
            w[name] = w[name] - rate * correction * rotated(step, bases[name], back=True)
            w[name] = w[name] * (1 - rate * decay_of(name, hp))
            beta = hp["shampoo_beta"]
            grams[name] = [beta * old + (1 - beta) * gram for old, gram in zip(grams[name], new, strict=True)]
            if t % hp["precondition_frequency"] == 0:
                for mode, (gram, q) in enumerate(zip(grams[name], bases[name], strict=True)):
                    order = np.argsort(-np.einsum("ij,ij->j", q, gram @ q))
                    v[name] = np.take(v[name], order, axis=mode)
                    bases[name][mode] = np.linalg.qr((gram @ q)[:, order])[0]
    return w


def schedule_free(
    weights: Weights, slopes: Slopes, rates: Sequence[float], hp: Settings
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Defazio et al. 2024, arXiv 2405.15682, algorithm 1, with v corrected for its start instead of the rate, as in
    the authors' code. Where gradients are taken, and the average that is evaluated."""
    x, y, z = ({name: array.copy() for name, array in weights.items()} for _ in range(3))
    v = {name: np.zeros_like(array) for name, array in weights.items()}
    total = 0.0
    for t, rate in enumerate(rates, 1):
        total += rate**2
        share = rate**2 / total
        for name, g in slopes(y, t).items():
            v[name] = hp["beta2"] * v[name] + (1 - hp["beta2"]) * g**2
            step = g / (np.sqrt(v[name] / (1 - hp["beta2"] ** t)) + hp["eps"]) + decay_of(name, hp) * y[name]
            z[name] = z[name] - rate * step
            x[name] = (1 - share) * x[name] + share * z[name]
        y = {name: (1 - hp["beta1"]) * z[name] + hp["beta1"] * x[name] for name in y}
    return y, x


def prodigy(weights: Weights, slopes: Slopes, rates: Sequence[float], hp: Settings) -> tuple[dict[str, Array], float]:
    """Mishchenko and Defazio 2023, arXiv 2306.06101, algorithm 4; s without the rate, which is what
    `safeguard_warmup` of the authors' code means. The second result is the distance."""
    w, first = dict(weights), dict(weights)
    m, v, s = ({name: np.zeros_like(array) for name, array in w.items()} for _ in range(3))
    d, r = hp["d0"], 0.0
    for t, rate in enumerate(rates, 1):
        g = slopes(w, t)
        r = hp["beta3"] * r + d**2 * rate * sum(float(np.sum(g[name] * (first[name] - w[name]))) for name in w)
        for name in w:
            m[name] = hp["beta1"] * m[name] + (1 - hp["beta1"]) * d * g[name]
            v[name] = hp["beta2"] * v[name] + (1 - hp["beta2"]) * d**2 * g[name] ** 2
            s[name] = hp["beta3"] * s[name] + d**2 * g[name]
        after = max(d, hp["d_coef"] * r / sum(float(np.abs(array).sum()) for array in s.values()))
        for name in w:
            step = m[name] / (np.sqrt(v[name]) + after * hp["eps"])
            w[name] = w[name] - d * rate * (step + decay_of(name, hp) * w[name])
        d = after
    return w, d
