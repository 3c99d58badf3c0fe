"""Data sets of a user's own, as a spec names them by `tests.own_images:function`."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = tuple[Any, Any, Any, Any]


def stripes() -> Arrays:
    """Upright or lying stripes with noise, which any network tells apart."""
    train, test = _stripes(120, 0), _stripes(40, 1)
    return *train, *test


def grey() -> Arrays:
    """One channel, and labels as a list."""
    images, labels = _stripes(30, 0)
    return images[..., :1], labels.tolist(), images[:9, ..., :1], labels[:9]


def not_four() -> Any:
    return _stripes(3, 0)


def failing() -> Any:
    raise RuntimeError("the disk is gone")


def channels_first() -> Arrays:
    images, labels = _stripes(9, 0)
    return images.transpose(0, 3, 1, 2), labels, images.transpose(0, 3, 1, 2), labels


def as_floats() -> Arrays:
    images, labels = _stripes(9, 0)
    return images / 255, labels, images / 255, labels


def too_few_labels() -> Arrays:
    images, labels = _stripes(9, 0)
    return images, labels[:-1], images, labels


def unknown_class() -> Arrays:
    images, labels = _stripes(9, 0)
    return images, labels, images, labels + 1


def nothing_to_test() -> Arrays:
    images, labels = _stripes(9, 0)
    return images, labels, images[:0], labels[:0]


def negative() -> Arrays:
    images, labels = _stripes(9, 0)
    return images, labels - 1, images, labels


def other_sizes() -> Arrays:
    images, labels = _stripes(9, 0)
    return images, labels, images[:, :8, :8], labels


def _stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    lines = np.where(np.arange(16) // 2 % 2, 220, 40)
    lying = np.broadcast_to(lines[:, None], (16, 16))
    pictures = np.where(labels[:, None, None], lying, lying.T)[..., None]
    return np.clip(pictures + draws.normal(0, 20, (count, 16, 16, 3)), 0, 255).astype(np.uint8), labels
