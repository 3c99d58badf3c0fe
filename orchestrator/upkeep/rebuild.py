"""A table put in order again from its sound files, whatever happened to the others or to the list of them.

Each Parquet file of a table holds rows that were written once, and of several rows of one key the newest counts. So
all files together, compacted or not, counting or replaced, give exactly the table as far as it is still there. As in
any compaction the new files come first, then the manifest that makes them count; nothing is deleted here.
"""

from __future__ import annotations

from orchestrator.errors import StoreError
from orchestrator.store.compacted_files import MEMORY_LIMIT, THREADS, sorted_rows, write_run
from orchestrator.store.connection import open_duckdb
from orchestrator.store.latest import newest_rows
from orchestrator.store.lease import Lease
from orchestrator.store.live import Manifest, paths_of
from orchestrator.store.paths import parse_part
from orchestrator.store.store import SweepStore
from orchestrator.upkeep.verify_tables import CheckedTable


def rebuild_table(sweep: SweepStore, table: CheckedTable, lease: Lease) -> None:
    """Compacts every row of a table's sound files, and makes that the table.

    Every number that a driver has used is said to be compacted, so that no gap is left where a file is gone.

    Raises:
        duckdb.Error: The rows cannot be sorted: there is no room to.
        StoreError: Another process compacted the table meanwhile.
        SupersededError: A newer driver has claimed the sweep.
    """
    row_type, files = table.row_type, table.files
    counting = set(files.live)
    sql = newest_rows(
        row_type,
        compacted=(),
        tail=paths_of(sweep, row_type, table.sound),
        replaced=paths_of(sweep, row_type, [name for name in table.sound if name not in counting]),
    )
    folded = dict(files.manifest.folded)
    for part in filter(None, map(parse_part, files.names)):
        folded[part.driver_epoch] = max(part.sequence, folded.get(part.driver_epoch, 0))
    generation = files.last_compaction() + 1
    try:
        with open_duckdb(sweep.files, memory_limit=MEMORY_LIMIT, threads=THREADS) as connection:
            names = write_run(sweep, row_type, generation, 0, sorted_rows(connection, row_type, sql))
        manifest = Manifest(
            generation=files.manifest.generation + 1, files=tuple(names), folded=folded, last_compaction=generation
        )
        lease.check()
        sweep.files.create(sweep.paths.manifest(row_type, manifest.generation), manifest.to_json())
    except FileExistsError as error:
        raise StoreError(
            f"table {row_type.TABLE} of sweep {sweep.name!r} was compacted meanwhile; try again"
        ) from error
