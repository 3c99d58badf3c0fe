"""CIFAR in the Parquet layout of the Hugging Face hub: shards of PNG images and labels."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from search_spaces.errors import DataError

IMAGE_COLUMNS = ("img", "image")
_SHARD = re.compile(r"(?P<part>train|test)-(?P<number>\d{5})-of-(?P<count>\d{5}).*\.parquet")


def find_shards(folder: Path, part: str) -> list[Path]:
    """The Parquet files of `part` ("train" or "test") in a folder, in order.

    Raises:
        DataError: Names say `-of-00003` and one of the three is missing.
    """
    shards = sorted(folder.glob(f"{part}-*.parquet"))
    matches = [match for shard in shards if (match := _SHARD.fullmatch(shard.name))]
    for count in {int(match["count"]) for match in matches}:
        present = {int(match["number"]) for match in matches if int(match["count"]) == count}
        missing = sorted(set(range(count)) - present)
        if missing:
            raise DataError(
                f"{folder} lacks {part}-{missing[0]:05d}-of-{count:05d}.parquet: {len(present)} of {count} files"
                f" of the {part} part are there"
            )
    return shards


def read_labels(shard: Path, label_columns: Sequence[str]) -> NDArray[np.int64]:
    """Labels (N,) of one shard, without decoding its images; checks the columns on the way.

    Raises:
        DataError: The file is damaged, or lacks an image column or all of `label_columns`.
    """
    name = _column(shard, label_columns)
    _column(shard, IMAGE_COLUMNS)
    column = _read_column(shard, name)
    if not pa.types.is_integer(column.type) or column.null_count:
        raise DataError(
            f"column {name} of {shard} must hold whole numbers; it holds {column.type}, some perhaps null"
        )
    return np.asarray(column.to_numpy(), dtype=np.int64)


def read_images(shard: Path) -> NDArray[np.uint8]:
    """Images (N, 3, 32, 32) of one shard.

    Raises:
        DataError: The file is damaged, or an image is no 32 px picture.
    """
    column = _read_column(shard, _column(shard, IMAGE_COLUMNS))
    images = np.empty((len(column), 3, 32, 32), dtype=np.uint8)
    for row, value in enumerate(column):
        images[row] = _decode(value.as_py(), shard, row)
    return images


def check_images(shard: Path) -> None:
    """Looks at every image of one shard: the checksums of a PNG show damage without its pixels being decoded.

    Raises:
        DataError: The file is damaged, or an image is.
    """
    column = _read_column(shard, _column(shard, IMAGE_COLUMNS))
    for row, value in enumerate(column):
        with _opened(value.as_py(), shard, row) as picture:
            picture.verify()


@contextmanager
def _opened(value: object, shard: Path, row: int) -> Iterator[Image.Image]:
    """An image of a shard; whatever is wrong with it while the block runs is said in one sentence."""
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise DataError(f"row {row} of {shard} has no image bytes; expected img to be struct<bytes, path>")
    try:
        with Image.open(io.BytesIO(content)) as picture:
            yield picture
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(f"row {row} of {shard} is not a whole image: {error}") from error


def _decode(value: object, shard: Path, row: int) -> NDArray[np.uint8]:
    with _opened(value, shard, row) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if pixels.shape != (32, 32, 3):
        raise DataError(f"row {row} of {shard} is {pixels.shape[1]}x{pixels.shape[0]} px; expected 32x32")
    return pixels.transpose(2, 0, 1)


def _column(shard: Path, names: Sequence[str]) -> str:
    try:
        present = pq.read_schema(shard).names
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{shard} cannot be read as Parquet: {error}") from error
    for name in names:
        if name in present:
            return name
    raise DataError(f"{shard} has no column {' or '.join(names)}; its columns are {', '.join(present)}")


def _read_column(shard: Path, name: str) -> pa.ChunkedArray:
    try:
        return pq.read_table(shard, columns=[name]).column(name)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{shard} cannot be read as Parquet: {error}") from error
