"""How Ray's workers are used: kept warm, all slots filled, nothing to be reached from outside."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import psutil
import pytest

from orchestrator.store.schema import TrialRow
from tests.integration.commands import bocb, marked, recorded, rows, running, wait_until, workers_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SPEC = """
[sweep]
name = "workers"
[grid]
backbones = ["own_code:{backbone}"]
optimizers = ["sgd", "adamw"]
[data]
name = "synthetic"
[training]
epochs = 2
[protocol.default]
seeds = {seeds}
[resources]
max_concurrent = 2
"""

LATE_WORKERS = """
# Runs in every Python process. In all Ray workers but the first an actor takes eight seconds longer to come up, as
# where imports come from a slow disk; one that is ended meanwhile has taken them in vain.
import os, sys, time


class Late:
    def find_spec(self, name, path=None, target=None):
        if name == "orchestrator.worker.trial":
            try:
                os.close(os.open(os.path.join(os.path.dirname(__file__), "first"), os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                time.sleep(8)


if any("default_worker.py" in part for part in sys.orig_argv):
    sys.meta_path.insert(0, Late())
"""


def test_workers_are_kept_and_all_slots_used_though_one_starts_late(tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "sitecustomize.py").write_text(LATE_WORKERS)
    (tmp_path / "spec.toml").write_text(SPEC.format(backbone="sleepy", seeds=7))
    store = tmp_path / "store"
    answer = bocb(store, "run", "spec.toml", extra_path=str(tmp_path / "late"))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    shares = rows(store, "SELECT pid, count(*) AS trials FROM attempts GROUP BY pid ORDER BY trials DESC")
    assert sum(row["trials"] for row in shares) == 14
    assert len(shares) == 2, "workers were not kept, or only one was used"
    assert shares[1]["trials"] >= 3


def test_nothing_listens_beyond_loopback_and_nothing_runs_in_vain(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(SPEC.format(backbone="sleepy", seeds=4))
    store = tmp_path / "store"
    with running(store, "run", "spec.toml") as process:
        wait_until(lambda: bool(recorded(store, "workers", TrialRow)), "the first trial")
        family = [psutil.Process(process.pid), *marked(process)]
        listening = [
            (member.name(), connection.laddr.ip)
            for member in family
            for connection in member.net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        programs = {Path(part).name for member in family for part in member.cmdline()}
        workers = [worker.environ() for worker in workers_of(process)]
    assert not programs & {"monitor.py", "log_monitor.py", "dashboard.py"}
    assert workers
    assert all("PL_DISABLE_FORK" not in variables for variables in workers), (
        "workers have an environment of their own"
    )
    assert listening, "Ray listens on nothing: the test looks at the wrong processes"
    plain = [(name, ipaddress.ip_address(address.removeprefix("::ffff:"))) for name, address in listening]
    beyond = [(name, address) for name, address in plain if not address.is_loopback]
    assert not beyond
