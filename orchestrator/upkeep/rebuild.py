"""A table put in order again from its sound files, when the list of those that count cannot be trusted.

Whatever a compaction was doing, each of its files holds rows that were written once, and of several rows of one key
the newest counts. So all files together, compacted or not and of whatever generation, give exactly the table.
"""

from __future__ import annotations

import pyarrow as pa

from orchestrator.errors import StoreError
from orchestrator.store.connection import open_duckdb
from orchestrator.store.live import Manifest, table_files
from orchestrator.store.paths import compacted_name, parse_compacted, parse_manifest, parse_part
from orchestrator.store.schema import NEWEST_FIRST, Row, arrow_schema
from orchestrator.store.seal import sealed_writer
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.verify_files import rows_of_file
from orchestrator.upkeep.verify_tables import numbered

ROWS_PER_GROUP = 122_880
MEMORY_LIMIT = "1GB"


def rebuild_table(sweep: SweepStore, row_type: type[Row]) -> None:
    """Compacts every row of a table's Parquet files into one file, and makes that the table.

    What it replaces stays until the next compaction. Damaged files must have been replaced before.

    Raises:
        StoreError: Another process compacted the table meanwhile.
    """
    names = sweep.files.names(sweep.paths.table(row_type))
    sources = [name for name in names if parse_part(name) or parse_compacted(name)]
    newest = max((parse_manifest(name) or 0 for name in names), default=0)
    listed = _listed(sweep, row_type)
    folded = dict(listed.folded)
    for part in filter(None, map(parse_part, names)):
        folded[part.driver_epoch] = max(part.sequence, folded.get(part.driver_epoch, 0))
    generation = max(listed.last_compaction, *(parse_compacted(name) or 0 for name in names), 0) + 1
    name = compacted_name(generation, 0)
    _write(sweep, row_type, sources, name)
    manifest = Manifest(generation=newest + 1, files=(name,), folded=folded, last_compaction=generation)
    try:
        sweep.files.create(sweep.paths.manifest(row_type, manifest.generation), manifest.to_json())
    except FileExistsError as error:
        raise StoreError(
            f"table {row_type.TABLE} of sweep {sweep.name!r} was compacted meanwhile; try again"
        ) from error


def _write(sweep: SweepStore, row_type: type[Row], sources: list[str], name: str) -> None:
    schema = arrow_schema(row_type)
    keys = ", ".join(row_type.KEY)
    order = ", ".join(f"{column} DESC NULLS LAST" for column in (*NEWEST_FIRST[row_type.TABLE], "file", "place"))
    with open_duckdb(sweep.files, memory_limit=MEMORY_LIMIT) as connection:
        connection.register("incoming", next(numbered(iter([schema.empty_table()]), "")))
        connection.execute("CREATE TABLE rows AS FROM incoming")
        for source in sources:
            for rows in numbered(rows_of_file(sweep, row_type, source), source):
                connection.register("incoming", rows)
                connection.execute("INSERT INTO rows BY NAME FROM incoming")
        reader = connection.sql(
            f"SELECT {', '.join(schema.names)} FROM rows "  # noqa: S608 - names come from the schema
            f"QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY {order}) = 1 ORDER BY {keys}"
        ).to_arrow_reader(ROWS_PER_GROUP)
        with (
            sweep.files.new_file(sweep.paths.in_table(row_type, name)) as file,
            sealed_writer(file, schema) as writer,
        ):
            for batch in reader:
                writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema), ROWS_PER_GROUP)


def _listed(sweep: SweepStore, row_type: type[Row]) -> Manifest:
    """The list of the table's files where it can be read: how far parts are compacted, which names were used."""
    try:
        return table_files(sweep, row_type).manifest
    except StoreError:
        return Manifest()
