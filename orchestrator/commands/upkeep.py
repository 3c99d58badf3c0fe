"""The commands that look after a store and a machine: compact, doctor."""

from __future__ import annotations

from orchestrator.commands.options import JsonOption, StoreOption, existing_store, out, print_json
from orchestrator.errors import BusyError, Exit


def compact(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Turn the many small files of every sweep into few large ones."""
    from orchestrator.store.compaction import compact as compact_sweep
    from orchestrator.store.lease import claim
    from orchestrator.tables import table_of

    opened = existing_store(store)
    rows, busy = [], []
    for name in opened.sweeps():
        try:
            with claim(opened.sweep(name)) as lease:
                lease.start_heartbeat()
                rows += [(name, summary) for summary in compact_sweep(opened.sweep(name), lease)]
        except BusyError as error:
            busy.append(str(error))
    columns = ("sweep", "table", "files", "rows", "bytes")
    cells = [
        (name, s.table, f"{s.files_before} -> {s.files_after}", s.rows_after, f"{s.bytes_before} -> {s.bytes_after}")
        for name, s in rows
    ]
    if as_json:
        print_json(
            [{"sweep": name, "table": s.table, "files": s.files_after, "rows": s.rows_after} for name, s in rows]
        )
    elif cells or not busy:
        out.print(table_of(columns, cells))
    if busy:
        raise BusyError("; ".join(busy))


def doctor(store: StoreOption = None, as_json: JsonOption = False) -> int:
    """Check Ray, GPUs, data and store, and say what to mend."""
    from orchestrator.doctor import examine

    findings = list(examine(store))
    if as_json:
        print_json([{"check": f.check, "ok": f.ok, "detail": f.detail, "mend": f.mend} for f in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "BAD "
            mend = "" if finding.ok or not finding.mend else f"\n     mend: {finding.mend}"
            out.print(f"{mark} {finding.check}: {finding.detail}{mend}", highlight=False, soft_wrap=True)
    return Exit.COMPLETE if all(finding.ok for finding in findings) else Exit.USAGE
