"""No flipped bit and no cut of a file of the store goes unnoticed, whatever kind of file it is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import duckdb
import fastparquet
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.store.compaction import compact_table
from orchestrator.store.lease import claim
from orchestrator.store.live import Manifest
from orchestrator.store.rows import encode_part
from orchestrator.store.schema import ROW_TYPES, CurveRow, Row, SweepRow, arrow_schema
from orchestrator.store.seal import PARQUET_KEY, Seal, parquet_seal, seal_json, sealed_writer, unseal_json
from orchestrator.store.store import SweepStore, open_store
from orchestrator.upkeep.verify_files import DamagedFileError, rows_of_file
from tests.store_examples import make_row, put_part

FIXTURE = Path(__file__).parent / "fixtures" / "store_v1" / "old"


@pytest.fixture
def sweep(tmp_path: Path) -> SweepStore:
    return open_store(str(tmp_path / "store"), create=True).sweep("s")


def example(row_type: type[Row], rows: int = 3) -> list[Any]:
    varying = {"version": range(rows)} if row_type is SweepRow else {"trial_id": [f"t{i}" for i in range(rows)]}
    ((name, values),) = varying.items()
    return [make_row(row_type, **{name: value}) for value in values]


def seal_of(data: bytes) -> Seal:
    return parquet_seal(io.BytesIO(data))


def is_refused(sweep: SweepStore, row_type: type[Row], name: str, data: bytes) -> bool:
    """Whether a file with that content is found to be damaged."""
    Path(sweep.files.location(sweep.paths.in_table(row_type, name))).write_bytes(data)
    try:
        list(rows_of_file(sweep, row_type, name))
    except DamagedFileError:
        return True
    return False


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


def check_every_byte(sweep: SweepStore, row_type: type[Row], name: str, bits: int) -> None:
    """Flips `bits` bits of each byte, one at a time; those the digest does not see must be seen otherwise."""
    data = sweep.files.read(sweep.paths.in_table(row_type, name))
    assert seal_of(data) is Seal.INTACT
    for position in range(len(data)):
        for bit in range(bits):
            changed = flipped(data, position, (position + bit) % 8)
            seal = seal_of(changed)
            assert seal is not Seal.INTACT
            assert seal is Seal.BROKEN or is_refused(sweep, row_type, name, changed), (position, bit)


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.TABLE)
def test_a_flip_in_any_byte_of_a_part_is_noticed(sweep: SweepStore, row_type: type[Row]) -> None:
    put_part(sweep, example(row_type))
    check_every_byte(sweep, row_type, "part-000001-00000001.parquet", bits=8 if row_type is CurveRow else 1)


@pytest.mark.parametrize("row_type", ROW_TYPES, ids=lambda row_type: row_type.TABLE)
def test_a_flip_in_any_byte_of_a_compacted_file_is_noticed(sweep: SweepStore, row_type: type[Row]) -> None:
    put_part(sweep, example(row_type))
    with claim(sweep) as lease:
        compact_table(sweep, row_type, lease)
    check_every_byte(sweep, row_type, "compact-000001-000.parquet", bits=1)


def test_a_part_cut_off_anywhere_or_longer_than_it_was_is_noticed(sweep: SweepStore) -> None:
    name = "part-000001-00000001.parquet"
    data = sweep.files.read(put_part(sweep, example(CurveRow)))
    for length in (*range(0, len(data), 4), *range(len(data) - 20, len(data))):
        assert is_refused(sweep, CurveRow, name, data[:length]), length
    for more in (b"\0", data, b"PAR1"):
        assert is_refused(sweep, CurveRow, name, data + more)
    assert not is_refused(sweep, CurveRow, name, data)


def test_page_checksums_alone_would_miss_what_the_digest_sees(sweep: SweepStore) -> None:
    """Why there are both: pages say which of them is damaged, and cover neither their headers nor the footer."""
    data = encode_part(example(CurveRow))
    rows = pq.read_table(io.BytesIO(data))
    missed = seen_by_checksum_only = 0
    for position in range(0, len(data), 3):
        changed = flipped(data, position, position % 8)
        checked, unchecked = (reads_as(changed, rows, checksums=flag) for flag in (True, False))
        missed += checked is True
        seen_by_checksum_only += checked is None and unchecked is False
        assert seal_of(changed) is not Seal.INTACT
    assert missed > 0
    assert seen_by_checksum_only > 0, "checksums are not written"


def reads_as(data: bytes, rows: pa.Table, *, checksums: bool) -> bool | None:
    """Whether pyarrow reads these rows, others, or nothing (None)."""
    try:
        return bool(pq.ParquetFile(io.BytesIO(data), page_checksum_verification=checksums).read().equals(rows))
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None


def test_other_readers_read_sealed_files_as_they_are(sweep: SweepStore) -> None:
    path = sweep.files.location(put_part(sweep, example(CurveRow)))
    rows = pq.read_table(path).to_pylist()
    assert duckdb.connect().read_parquet(path).to_arrow_table().to_pylist() == rows
    second = fastparquet.ParquetFile(io.BytesIO(Path(path).read_bytes()))
    assert second.to_pandas().trial_id.tolist() == [row["trial_id"] for row in rows]
    assert PARQUET_KEY.encode() in pq.read_metadata(path).metadata


def test_a_text_that_looks_like_the_place_of_the_digest_does_no_harm(sweep: SweepStore) -> None:
    trap = f"{PARQUET_KEY}\x18@{'0' * 64}"
    part = put_part(sweep, [make_row(CurveRow, trial_id=trap)])
    (rows,) = rows_of_file(sweep, CurveRow, part.rpartition("/")[2])
    assert rows["trial_id"].to_pylist() == [trap]


def test_a_file_of_many_row_groups_is_sealed_as_a_whole() -> None:
    schema = arrow_schema(CurveRow)
    part = pq.read_table(io.BytesIO(encode_part(example(CurveRow, 50)))).cast(schema)
    file = io.BytesIO()
    with sealed_writer(file, schema) as writer:
        for _ in range(40):
            writer.write_table(part)
    data = file.getvalue()
    assert seal_of(data) is Seal.INTACT
    assert pq.read_metadata(io.BytesIO(data)).num_rows == 2000
    assert seal_of(flipped(data, 100, 0)) is Seal.BROKEN


def test_parts_of_version_1_have_no_digest_and_are_read_as_far_as_can_be(tmp_path: Path) -> None:
    sweep = open_store(str(FIXTURE.parent)).sweep("old")
    names = [path.name for path in sorted((FIXTURE / "curves").glob("*.parquet"))]
    for name in names:
        assert seal_of((FIXTURE / "curves" / name).read_bytes()) is Seal.NONE
        assert sum(rows.num_rows for rows in rows_of_file(sweep, CurveRow, name)) > 0
    copy = open_store(str(tmp_path), create=True).sweep("old")
    Path(copy.files.location("old/curves")).mkdir(parents=True)
    data = (FIXTURE / "curves" / names[-1]).read_bytes()
    unseen = 0
    for position in range(0, len(data), 23):
        unseen += not is_refused(copy, CurveRow, names[-1], flipped(data, position, position % 8))
    assert 0 < unseen < len(data) / 23, "without a digest some flips are seen and some are not"


JSON = {
    "host": "a",
    "pid": 7,
    "at": "2026-05-01T12:00:00+00:00",
    "nested": {"1": 2},
    "files": ["x", "y"],
    "on": False,
}


def test_any_other_byte_in_a_json_file_is_noticed_or_changes_nothing() -> None:
    data = seal_json(JSON)
    assert unseal_json(data) == JSON
    unnoticed = 0
    for position in range(len(data)):
        for value in range(256):
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            if changed == data:
                continue
            try:
                content = unseal_json(changed)
            except ValueError:
                continue
            unnoticed += 1
            # Only the digest's own name can be hit like that: the object then has a key that does not belong to it.
            assert {key: content[key] for key in JSON} == JSON
            assert len(content) == len(JSON) + 1
    assert unnoticed < 256 * len("sha256")


@pytest.mark.parametrize("length", range(0, len(seal_json(JSON)), 5))
def test_a_json_file_cut_off_is_noticed(length: int) -> None:
    with pytest.raises(ValueError):
        unseal_json(seal_json(JSON)[:length])


def test_a_manifest_without_a_digest_is_read() -> None:
    old = (FIXTURE / "curves" / "_manifest-000001.json").read_bytes()
    assert Manifest.from_json(1, old).files == ("compact-000001-000.parquet",)


def test_a_flip_in_a_manifest_is_noticed_or_changes_nothing() -> None:
    manifest = Manifest(generation=2, files=("compact-000003-000.parquet",), folded={1: 7, 2: 30}, last_compaction=3)
    data = manifest.to_json()
    for position in range(len(data)):
        for bit in range(8):
            try:
                read = Manifest.from_json(2, flipped(data, position, bit))
            except (ValueError, KeyError):
                continue
            assert read == manifest
