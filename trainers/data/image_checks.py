"""A look into image files before a sweep starts: enough to notice a wrong or a damaged copy, not every image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from search_spaces.errors import DataError
from trainers.data.pictures import BadImageError, decode
from trainers.readers.layouts import Layout
from trainers.readers.part import Part, check_limit, runs_of

_THREADS = 8


def check_layout(layout: Layout, max_bad: int) -> None:
    """Decodes the first image of each class of a folder, or of each shard, and compares the classes of both parts.

    Raises:
        DataError: More than `max_bad` samples have no usable label, or more than that many images are damaged, or a
            test image is of a class that has no training images.
    """
    check_limit(layout.rejected, max_bad, during="the data set")
    damaged: list[str] = []
    for part in layout.parts:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="bocb-check") as pool:
            found = pool.map(partial(_damage, part), part.index.firsts.tolist())
            damaged += [sentence for sentence in found if sentence is not None]
    check_limit(damaged, max_bad, during="the first images of classes or shards")
    unknown = np.flatnonzero(~np.isin(layout.test.labels, layout.train.labels))
    if len(unknown):
        place = int(layout.test.places[unknown[0]])
        raise DataError(
            f"{layout.test.part.where(place)} has the label {layout.test.part.index.labels[place]}, which no training"
            f" image has ({len(unknown)} such images)"
        )


def _damage(part: Part, place: int) -> str | None:
    """What is wrong with an image, if anything is."""
    try:
        decode(part.read(int(runs_of(part.index, place)), [place])[place])
    except BadImageError as error:
        return f"{part.where(place)} {error}"
    except DataError as error:
        return str(error)
    return None
