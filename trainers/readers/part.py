"""What every layout offers of one part of a data set: an index in memory, and encoded images on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from search_spaces.errors import DataError

_NAMED = 3
"""Bad samples that one error names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Index:
    """What is known of a part's images without decoding any; an image is known by its place in here."""

    names: pa.Array
    """(N,) strings that stay the same when other images are added: they decide on which side of a split one lies."""
    labels: NDArray[np.int64]
    """(N,)"""
    sizes: NDArray[np.int64]
    """(N,) bytes of its file, or of the shard that it is a row of; -1 where the file is missing."""
    runs: NDArray[np.int64]
    """(R + 1,) bounds of the images that are best read together: run r holds places runs[r] to runs[r + 1] - 1."""
    firsts: NDArray[np.int64]
    """The first place of each class of a folder, or of each shard: what a check looks at."""
    rejected: tuple[str, ...]
    """Sentences on samples that are left out because their label cannot be used."""

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> bytes:
        """SHA-256 of names, sizes and labels."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(name.as_py().encode(errors="surrogateescape") + b"\0")
        digest.update(self.sizes.tobytes() + self.labels.tobytes())
        return digest.digest()


class Part(Protocol):
    """The encoded images of one part of a data set. Its methods may be called by several threads at once."""

    @property
    def index(self) -> Index:
        """What is there."""
        ...

    def read(self, run: int, places: Sequence[int]) -> Mapping[int, bytes]:
        """The encoded images at some places of a run, by place.

        Raises:
            DataError: They cannot be read.
        """
        ...

    def where(self, place: int) -> str:
        """The file of an image, with its row or member, for a message."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedSet:
    """Some labelled images that are decoded each time they are used."""

    part: Part
    places: NDArray[np.int64]
    """(N,) ascending."""

    def __len__(self) -> int:
        return len(self.places)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Whole numbers (N,)."""
        return self.part.index.labels[self.places]

    def subset(self, indices: NDArray[np.int64]) -> EncodedSet:
        """The images at some of these, ascending."""
        return EncodedSet(part=self.part, places=self.places[indices])


def runs_of(index: Index, places: ArrayLike) -> NDArray[np.int64]:
    """The run of each place."""
    return np.searchsorted(index.runs, places, side="right") - 1


def first_places(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each value of (N,) numbers comes first."""
    return np.unique(groups, return_index=True)[1]


def whole(part: Part) -> EncodedSet:
    """Every image of a part."""
    return EncodedSet(part=part, places=np.arange(len(part.index)))


def hash_split(
    images: EncodedSet, fraction: float, *, stream: str, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the images to keep and which to hold out, both ascending.

    An image is held out where a hash of (seed, its name), as a number in [0, 1), is below `fraction`. So adding or
    removing images never moves another one, and shares are exact only on average.

    Args:
        images: What to split.
        fraction: Share to hold out.
        stream: What the split is for; splits for different ends are independent.
        seed: Another seed gives another split.
    """
    names = images.part.index.names.take(pa.array(images.places))
    limit = round(fraction * 2**64)
    mask = np.fromiter(
        (_hash64(f"{stream}/{seed}/{name.as_py()}") < limit for name in names), dtype=bool, count=len(images)
    )
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogateescape")).digest()[:8])


def check_limit(sentences: Iterable[str], limit: int, *, during: str) -> None:
    """Refuses more bad samples than are allowed.

    Args:
        sentences: On each bad sample so far.
        limit: How many may be skipped.
        during: What they were met in ("epoch 3").

    Raises:
        DataError: Naming the first few of them.
    """
    found = list(sentences)
    if len(found) <= limit:
        return
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    raise DataError(
        f"{'; '.join(found[:_NAMED])}{more} (bad samples in {during}: {len(found)}; data.max_bad_samples = {limit}:"
        " mend or remove them, or raise it)"
    )
