"""Images that are read and decoded while a trial trains, because not all of them fit on the device.

Threads read and decode, and not processes: Pillow lets go of the interpreter while it decodes and resizes, nothing
has to be copied between processes, and threads end with the pass that started them, also when it is dropped halfway.
"""

from __future__ import annotations

import itertools
import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from search_spaces.errors import DataError
from trainers.data.images import Batch, Framing, batch_bounds
from trainers.data.pictures import BadImageError, central_view, decode, training_view
from trainers.readers.part import EncodedSet, Part, check_limit, runs_of
from trainers.seeds import stream_seed

_logger = logging.getLogger(__name__)

WINDOW = 2048
"""An image comes at most so many places later than its run does. Its bytes wait in memory until then: of ImageNet
about 110 KB each, 230 MB in all."""
_BATCHES_AHEAD = 2
_IMAGES_AHEAD = 256
"""At least so many images are on their way, so that small batches too have shards read before they are needed."""
_READERS = 4

View = Callable[[Image.Image, int, int], Image.Image]
"""What to show of a picture, given its place and which of its repeats this is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Batch:
    """A batch on its way."""

    places: NDArray[np.int64]
    pixels: torch.Tensor
    """(N, S, S, 3)"""
    tasks: tuple[Future[str | None], ...]
    """Each says what is wrong with its image, if anything is."""
    slots: tuple[tuple[int, int], ...]
    """Of each task: the part of the batch that it fills."""


class StreamedImages:
    """Implements `trainers.data.images.Images` for images that are decoded each time they come.

    The order is a function of (seed, epoch): the runs of the layout in random order, and then every image up to
    `WINDOW` places later, so that shards are read from front to back, and images of one run do not come together.
    Class folders have runs of one image, so theirs is a permutation of all. A crop is a function of (seed, epoch,
    place of the image). So neither threads nor where a pass begins change anything; beginning in the middle costs
    reading, not decoding, at most `WINDOW` images again.

    Args:
        images: Which images.
        framing: How they are cropped and resized.
        device: Where batches go.
        threads: How many decode at once.
        max_bad: Images that cannot be decoded are skipped, up to so many a pass; with those that the index had to
            leave out. In training another image of the batch takes the place, so that all batches keep their size.
    """

    def __init__(
        self, images: EncodedSet, framing: Framing, *, device: torch.device, threads: int = 1, max_bad: int = 0
    ) -> None:
        self._images = images
        self._framing = framing
        self._device = device
        self._threads = threads
        self._max_bad = max_bad

    def __len__(self) -> int:
        return len(self._images)

    def steps(self, batch_size: int) -> int:
        """Batches of one training pass."""
        return len(batch_bounds(len(self), batch_size))

    def training_batches(self, *, seed: int, epoch: int, batch_size: int, first_step: int = 0) -> Iterator[Batch]:
        """One pass in an order drawn for the epoch, each image cropped by a draw of its own.

        Raises:
            DataError: More samples than allowed are bad; the first few are named.
        """
        framing = self._framing

        def view(picture: Image.Image, place: int, repeat: int) -> Image.Image:
            draws = random.Random(stream_seed(seed, "crop", epoch, place, repeat))  # noqa: S311 - crops are no secret
            return training_view(picture, framing, draws)

        bounds = batch_bounds(len(self), batch_size)[first_step:]
        stream = _Stream(
            self._images.part,
            training_order(self._images, seed, epoch, framing.repeats),
            bounds,
            view=view,
            size=framing.train_size,
            repeats=framing.repeats,
            threads=self._threads,
            is_pinned=self._device.type == "cuda",
        )
        return self._delivered(stream, f"epoch {epoch + 1}", is_training=True)

    def evaluation_batches(self, *, batch_size: int) -> Iterator[Batch]:
        """One pass in the order of the files, centrally cropped; a bad image is left out.

        Raises:
            DataError: More samples than allowed are bad; the first few are named.
        """
        framing = self._framing

        def view(picture: Image.Image, place: int, repeat: int) -> Image.Image:
            del place, repeat
            return central_view(picture, framing.test_size, framing.test_crop_ratio)

        count = len(self)
        bounds = [(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
        stream = _Stream(
            self._images.part,
            self._images.places,
            bounds,
            view=view,
            size=framing.test_size,
            repeats=1,
            threads=self._threads,
            is_pinned=self._device.type == "cuda",
        )
        return self._delivered(stream, "an evaluation", is_training=False)

    def _delivered(self, stream: _Stream, during: str, *, is_training: bool) -> Iterator[Batch]:
        """The batches of a stream on the device, without their bad images."""
        bad = list(self._images.part.index.rejected)
        with stream:
            for batch in stream:
                slots, sentences = _usable_slots(batch, is_training=is_training)
                for sentence in sentences:
                    _logger.warning("bad sample skipped in %s: %s", during, sentence)
                bad += sentences
                check_limit(bad, self._max_bad, during=during)
                if not len(slots):
                    if is_training:
                        raise DataError(f"no image of a batch can be used: {sentences[0]}")
                    continue
                labels = torch.from_numpy(self._images.part.index.labels[batch.places[slots]])
                pixels = batch.pixels if not sentences else batch.pixels[torch.from_numpy(slots)]
                yield Batch(
                    # Channels stay last in memory, which is what convolutions want.
                    images=pixels.to(self._device, non_blocking=True).permute(0, 3, 1, 2),
                    labels=labels.to(self._device),
                )


def training_order(images: EncodedSet, seed: int, epoch: int, repeats: int) -> NDArray[np.int64]:
    """The place of the image at each position of a pass.

    With repeats, so many images fewer come, each as often in a row.
    """
    draws = np.random.default_rng(stream_seed(seed, "order", epoch))
    bounds = images.part.index.runs
    rank = draws.permutation(len(bounds) - 1)[runs_of(images.part.index, images.places)]
    places = images.places[np.argsort(rank, kind="stable")]
    later = np.arange(len(places)) + WINDOW * draws.random(len(places))
    order = places[np.argsort(later, kind="stable")]
    return order[: math.ceil(len(order) / repeats)].repeat(repeats)[: len(order)]


def _usable_slots(batch: _Batch, *, is_training: bool) -> tuple[NDArray[np.int64], list[str]]:
    """Which images of a batch to deliver, and what is wrong with the others.

    In training the next good one (after the last, the first) stands in for a bad one.
    """
    sentences = [task.result() for task in batch.tasks]
    good = np.ones(len(batch.places), dtype=bool)
    for (start, end), sentence in zip(batch.slots, sentences, strict=True):
        good[start:end] = sentence is None
    slots = np.flatnonzero(good)
    if is_training and len(slots):
        slots = slots[np.searchsorted(slots, np.arange(len(good))) % len(slots)]
    return slots, [sentence for sentence in sentences if sentence is not None]


class _Stream:
    """The batches of one pass, some of them on their way. Its threads end when the `with` around it does."""

    def __init__(
        self,
        part: Part,
        order: NDArray[np.int64],
        bounds: Sequence[tuple[int, int]],
        *,
        view: View,
        size: int,
        repeats: int,
        threads: int,
        is_pinned: bool,
    ) -> None:
        self._part = part
        self._order = order
        self._bounds = bounds
        self._view = view
        self._size = size
        self._repeats = repeats
        self._is_pinned = is_pinned
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="bocb-decode")
        self._runs = _Runs(part, order[bounds[0][0] : bounds[-1][1]] if bounds else order[:0])

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        # Reading first: what decodes may wait for it.
        self._runs.close()
        self._decoders.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[_Batch]:
        under_way: deque[_Batch] = deque()
        images = 0
        for start, end in self._bounds:
            under_way.append(self._start(start, end))
            images += end - start
            if len(under_way) > _BATCHES_AHEAD and images - len(under_way[0].places) >= _IMAGES_AHEAD:
                images -= len(under_way[0].places)
                yield under_way.popleft()
        while under_way:
            yield under_way.popleft()

    def _start(self, start: int, end: int) -> _Batch:
        """Sends a batch on its way. Repeats of an image that stand together are decoded once."""
        places = self._order[start:end]
        pixels = torch.empty((end - start, self._size, self._size, 3), dtype=torch.uint8, pin_memory=self._is_pinned)
        out = pixels.numpy()
        tasks: list[Future[str | None]] = []
        slots: list[tuple[int, int]] = []
        for place, group in itertools.groupby(range(end - start), key=lambda slot: int(places[slot])):
            members = list(group)
            repeats = [(start + slot) % self._repeats for slot in members]
            content = self._runs.content(place, len(members))
            slots.append((members[0], members[-1] + 1))
            tasks.append(self._decoders.submit(self._decode, place, content, repeats, out[slice(*slots[-1])]))
        return _Batch(places=places, pixels=pixels, tasks=tuple(tasks), slots=tuple(slots))

    def _decode(
        self, place: int, content: Callable[[], Mapping[int, bytes]], repeats: Sequence[int], out: NDArray[np.uint8]
    ) -> str | None:
        """Fills a part of a batch with views of one image; says what is wrong with it if that cannot be done."""
        try:
            picture = decode(content()[place])
            for slot, repeat in enumerate(repeats):
                out[slot] = np.asarray(self._view(picture, place, repeat))
        except BadImageError as error:
            return f"{self._part.where(place)} {error}"
        except DataError as error:
            return str(error)
        return None


class _Runs:
    """Reads the runs that a pass needs, each once, when the first of its images is asked for."""

    def __init__(self, part: Part, order: NDArray[np.int64]) -> None:
        self._part = part
        self._places = np.unique(order)
        self._bounds = np.searchsorted(self._places, part.index.runs)
        """Those of run r that are needed stand from bounds[r] to bounds[r + 1]."""
        runs, counts = np.unique(runs_of(part.index, order), return_counts=True)
        self._left = dict(zip(runs.tolist(), counts.tolist(), strict=True))
        self._reads: dict[int, Future[Mapping[int, bytes]]] = {}
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="bocb-read")

    def content(self, place: int, count: int) -> Callable[[], Mapping[int, bytes]]:
        """How to get encoded images, that at `place` among them, for the next `count` positions of the order."""
        run = int(runs_of(self._part.index, place))
        places = self._places[self._bounds[run] : self._bounds[run + 1]].tolist()
        if len(places) == 1:
            return partial(self._part.read, run, places)
        if run not in self._reads:
            self._reads[run] = self._readers.submit(self._part.read, run, places)
        read = self._reads[run]
        self._left[run] -= count
        if not self._left[run]:
            # The last tasks that need it hold it; with them its bytes go.
            del self._reads[run]
        return read.result

    def close(self) -> None:
        """Ends its threads."""
        self._readers.shutdown(cancel_futures=True)
