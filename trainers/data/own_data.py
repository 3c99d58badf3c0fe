"""Data sets of a user's own: arrays that a function `package.module:function` returns."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import UserError
from trainers.imports import OWN_CODE_ERRORS, load_callable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnData:
    """What the function returned, checked."""

    train_images: NDArray[np.uint8]
    """(N, C, S, S)"""
    train_labels: NDArray[np.int64]
    """(N,)"""
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]

    @property
    def classes(self) -> int:
        """Labels are 0 to this, exclusive."""
        return int(self.train_labels.max()) + 1


# Kept as long as a worker lives: a plan, a check and every trial ask for it.
@functools.lru_cache(maxsize=2)
def load_own_data(path: str) -> OwnData:
    """Calls the function at an import path.

    It takes no arguments and returns training images, training labels, test images and test labels: images as uint8
    of shape (N, S, S, C) with one or three channels, labels as whole numbers from 0 of shape (N,). The parts are the
    same at every call.

    Raises:
        UserError: There is no such function, it fails, or it returns something else.
    """
    function = load_callable(path, purpose=f"data set {path}")
    try:
        returned = function()
        train_images, train_labels, test_images, test_labels = (np.asarray(array) for array in returned)
    except OWN_CODE_ERRORS as error:
        raise UserError(
            f"data set {path} must return four arrays (training images, their labels, test images, their labels);"
            f" calling it raises {type(error).__name__}: {error}"
        ) from error
    for name, images, labels in (("training", train_images, train_labels), ("test", test_images, test_labels)):
        _check_part(f"data set {path}: its {name}", images, labels)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise UserError(
            f"data set {path}: training images have the shape {train_images.shape[1:]}, test images"
            f" {test_images.shape[1:]}; they must be equal"
        )
    found = OwnData(
        train_images=np.ascontiguousarray(train_images.transpose(0, 3, 1, 2)),
        train_labels=train_labels.astype(np.int64),
        test_images=np.ascontiguousarray(test_images.transpose(0, 3, 1, 2)),
        test_labels=test_labels.astype(np.int64),
    )
    if found.test_labels.max() >= found.classes:
        raise UserError(
            f"data set {path}: the test part has the label {found.test_labels.max()}; training labels are 0 to"
            f" {found.classes - 1}"
        )
    return found


def _check_part(what: str, images: NDArray[np.generic], labels: NDArray[np.generic]) -> None:
    shape = images.shape
    if images.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] not in (1, 3):
        raise UserError(
            f"{what} images must be uint8 of shape (N, S, S, C) with C = 1 or 3; got {images.dtype} {shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != shape[:1]:
        raise UserError(
            f"{what} labels must be whole numbers of shape ({shape[0]},); got {labels.dtype} {labels.shape}"
        )
    if not len(labels) or labels.min() < 0:
        raise UserError(f"{what} part needs images, with labels from 0; got {len(labels)} images")
