"""Small data sets of image files, the same images in every layout."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASSES = ("n00000001", "n00000002", "n00000003")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One encoded image."""

    name: str
    label: int
    content: bytes


def encoded(seed: int, *, kind: str = "JPEG", mode: str = "RGB", side: tuple[int, int] | None = None) -> bytes:
    """An image of 8 to 40 px with soft random colours."""
    draws = np.random.default_rng(seed)
    width, height = side or draws.integers(8, 41, 2).tolist()
    coarse = Image.fromarray(draws.integers(0, 256, (3, 4, 3), dtype=np.uint8))
    out = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(out, kind)
    return out.getvalue()


def samples(count: int, *, part: str = "train", start: int = 0) -> list[Sample]:
    """Images of every class in turn; in the order of folders, which is by class and then by name."""
    seed = 1000 if part == "train" else 2000
    made = [
        Sample(name=f"{part}_{number:04d}", label=number % len(CLASSES), content=encoded(seed + number))
        for number in range(start, start + count)
    ]
    return sorted(made, key=lambda sample: (sample.label, sample.name))


def write_folder(folder: Path, content: Sequence[Sample]) -> None:
    """A folder per class."""
    for sample in content:
        path = folder / CLASSES[sample.label] / f"{sample.name}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sample.content)


def write_parquet(
    path: Path, content: Sequence[Sample], *, rows: int = 4, names: Sequence[str] | None = CLASSES
) -> None:
    """One shard as the hub's, with row groups of a few rows."""
    image = [{"bytes": sample.content, "path": f"{sample.name}.JPEG"} for sample in content]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(image, kind), "label": pa.array([s.label for s in content], pa.int64())})
    if names is not None:
        features = {"info": {"features": {"label": {"names": list(names), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows)


def write_tar(path: Path, content: Sequence[Sample], *, labels: str = "cls") -> None:
    """One shard as the webdataset library writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for sample in content:
            label = str(sample.label) if labels == "cls" else json.dumps({"label": sample.label})
            add_member(archive, f"{sample.name}.jpg", sample.content)
            add_member(archive, f"{sample.name}.{labels}", label.encode())


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """A plain file."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def write_layout(
    root: Path, layout: str, train: Sequence[Sample], test: Sequence[Sample], *, shards: int = 3
) -> Path:
    """A whole data set under `root`: "folder", "parquet" or "tar"; the root is returned."""
    for part, name, content in (("train", "train", train), ("val", "validation", test)):
        if layout == "folder":
            write_folder(root / part, content)
            continue
        pieces = [content[n * len(content) // shards : (n + 1) * len(content) // shards] for n in range(shards)]
        for number, piece in enumerate(pieces):
            if layout == "parquet":
                write_parquet(root / "data" / f"{name}-{number:05d}-of-{shards:05d}.parquet", piece)
            else:
                write_tar(root / f"imagenet1k-{name}-{number:04d}.tar", piece)
    return root
