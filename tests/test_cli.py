"""The command line's contract: what it prints, its exit codes, and one clear sentence for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator.store.query import run_query
from orchestrator.store.store import SweepStore, open_store
from tests.command_line import Call
from tests.planned_sweeps import small_plan, spec_tables
from tests.sweeps_in_process import run_here


def toml(tables: dict[str, Any], prefix: str = "") -> str:
    """Nested tables as TOML."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in tables.items() if not isinstance(value, dict)]
    for key, value in tables.items():
        if isinstance(value, dict):
            lines += [f"[{prefix}{key}]", toml(value, f"{prefix}{key}.")]
    return "\n".join(lines)


@pytest.fixture
def write_spec(tmp_path: Path) -> Callable[..., str]:
    def write(**sections: dict[str, Any]) -> str:
        (tmp_path / "spec.toml").write_text(toml(spec_tables(**sections)))
        return "spec.toml"

    return write


def test_plan_counts_and_starts_nothing(call: Call, write_spec: Callable[..., str], tmp_path: Path) -> None:
    answer = call("plan", write_spec(), "--json")
    assert answer.code == 0
    said = json.loads(answer.out)
    assert (said["sweep"], said["cells"], said["trials"], said["epochs"]) == ("small", 4, 40, 120)
    assert said["by_role"] == {"default": 4, "design": 16, "tune": 12, "confirm": 8}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spec.toml"]


MISTAKES = [
    ({"training": {"epoch": 3}}, "unknown key 'epoch' in [training]; did you mean epochs?"),
    ({"training": {"epochs": 0}}, "training.epochs = 0 is not accepted: input should be greater than or equal to 1"),
    ({"training": {"epochs": "3"}}, "training.epochs = '3' is not accepted"),
    ({"training": {"epochs": 3, "score": "last"}}, "'final', 'best' or 'median10'"),
    ({"grid": {"backbones": ["synthetic_x"]}}, "unknown backbone 'synthetic_x'; did you mean synthetic_"),
    ({"grid": {"optimizers": ["admw"]}}, "unknown optimizer 'admw'; did you mean adamw"),
    ({"grid": {"recipes": ["paperr"]}}, "unknown recipe 'paperr'"),
    ({"grid": {"optimizers": ["sgd", "sgd"]}}, "grid.optimizers names 'sgd' twice"),
    ({"grid": {"optimizers": []}}, "grid.optimizers is empty"),
    ({"grid": {"backbones": ["resnet_digits"]}}, "data.name = 'synthetic' does not fit"),
    ({"grid": {"backbones": ["no.such:thing"]}}, "cannot import no"),
    ({"grid": {"backbones": ["tests.own_code:missing"]}}, "unknown name in tests.own_code"),
    ({"grid": {"backbones": ["tests.own_code:no_behaviour"]}}, "must return trainers.synthetic.Behaviour"),
    ({"grid": {"backbones": ["tests.ends_itself:x"]}}, "raises SystemExit"),
    (
        {
            "data": {"name": "digits"},
            "grid": {"backbones": ["vit_digits"], "optimizers": ["mine"]},
            "optimizers": {"mine": {"class": "torch.optim:SDG", "args": {"lr": 0.1}}},
        },
        "did you mean SGD",
    ),
    (
        {"data": {"name": "digits", "image_size": 16}, "grid": {"backbones": ["vit_digits"]}},
        "backbone vit_digits takes images of 8 px; got 16 px",
    ),
    (
        {"data": {"name": "digits", "validation_fraction": 0.001}, "grid": {"backbones": ["vit_digits"]}},
        "leaves no image to train or to validate on",
    ),
    (
        {
            "data": {"name": "digits"},
            "grid": {"backbones": ["vit_digits"]},
            "training": {"epochs": 1, "crop_padding": 8},
        },
        "crop_padding = 8 must be below the images' 8 px",
    ),
    ({"grid": {"exclude": [["synthetic_a", "lion"]]}}, "which is not a pair of the grid"),
    ({"data": {"name": "cifr10"}}, "unknown data set 'cifr10'; did you mean cifar10"),
    ({"sweep": {"name": "../up"}}, "sweep.name = '../up' is not accepted"),
    ({"sweep": {"name": "small", "seed": -1}}, "sweep.seed = -1 is not accepted"),
    ({"protocol": {"design": {"points": 6}}}, "points must be a power of two"),
    ({"protocol": {"desing": {}}}, "unknown key 'desing' in [protocol]; did you mean design?"),
    ({"protocol": {"confirm": {"top": 1}}}, "needs one of these roles"),
    ({"protocol": {"tune": {"trials": 2, "batch": 2, "pruner": "median"}}}, "needs batch = 1"),
    ({"resources": {"gpus_per_trial": 0.3}}, "gpus_per_trial must be 1, 1/2, 1/4, 1/8 or 0; got 0.3"),
    ({"search_spaces": {"sgd": {"lr": [1.0, 0.1]}}}, "low < high"),
    ({"search_spaces": {"sgd": {"rho": [0.1, 1.0]}}}, "unknown hyper-parameter of sgd 'rho'"),
    ({"search_spaces": {"lamb": {"lr": [0.1, 1.0]}}}, "describes an optimizer that grid.optimizers does not name"),
    ({"data": {"name": "cifar100"}, "grid": {"backbones": ["resnet18_cifar"]}}, "data.path is missing"),
    (
        {"data": {"name": "cifar100", "path": "$NO_SUCH_FOLDER/x"}, "grid": {"backbones": ["resnet18_cifar"]}},
        "names an environment variable that is not set",
    ),
    (
        {"data": {"name": "cifar100", "path": "no/folder"}, "grid": {"backbones": ["resnet18_cifar"]}},
        "no/folder",
    ),
]


@pytest.mark.parametrize(("sections", "sentence"), MISTAKES, ids=[sentence[:40] for _, sentence in MISTAKES])
def test_a_wrong_spec_gets_one_sentence(
    call: Call, write_spec: Callable[..., str], tmp_path: Path, sections: dict[str, Any], sentence: str
) -> None:
    answer = call("run", write_spec(**sections))
    assert answer.code == 2
    assert sentence in answer.err
    assert answer.err.startswith("bocb: ")
    assert answer.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["spec.toml"], "something was left half-made"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"[sweep\n", "is not TOML"), (b"\xff\xfe", "cannot be read"), (None, "there is no spec file")],
)
def test_a_file_that_is_no_spec(call: Call, tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "spec.toml").write_bytes(content)
    answer = call("plan", "spec.toml")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert sentence in answer.err


@pytest.mark.parametrize(
    "arguments",
    [["rum"], ["run"], ["query"], ["status", "--jsn"], ["list", "animals"], ["resume", "x", "--retry", "bad"]],
)
def test_wrong_usage_is_exit_two(call: Call, arguments: list[str]) -> None:
    answer = call(*arguments)
    assert (answer.code, answer.err.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["run"], "Missing argument 'SPEC'; see `bocb run --help`"),
        (["statsu"], "Did you mean 'status'?; see `bocb --help`"),
        (["list", "animals"], "'animals' is not one of 'backbones'"),
    ],
)
def test_wrong_usage_says_what_to_do(call: Call, arguments: list[str], sentence: str) -> None:
    assert sentence in call(*arguments).err


def test_a_status_without_a_name_is_a_list_however_many_sweeps_there_are(call: Call, tmp_path: Path) -> None:
    shutil.copytree(OLD_STORE, tmp_path / "bocb-store")
    alone = json.loads(call("status", "--json").out)
    assert [entry["sweep"] for entry in alone["sweeps"]] == ["old"]
    assert alone["planned"] == json.loads(call("status", "old", "--json").out)["planned"] == 48


@pytest.mark.parametrize(
    "arguments",
    [["query", "SELECT * FROM range(1000000)", "--format", form] for form in ("csv", "json", "parquet", "table")]
    + [["list", "backbones", "--json"], ["status", "--json"]],
    ids=" ".join,
)
def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "orchestrator.cli", *arguments]
    environment = {**os.environ, "BOCB_STORE": str(OLD_STORE)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize("command", [["status"], ["report", "-o", "page.html"], ["resume"], ["stop"]])
def test_an_unknown_sweep_or_store_is_named(call: Call, tmp_path: Path, command: list[str]) -> None:
    answer = call(command[0], "nothing", *command[1:])
    assert answer.code == 2
    assert "there is no store at" in answer.err
    assert not list(tmp_path.iterdir()), "a reading command made something"
    (tmp_path / "bocb-store").mkdir()
    answer = call(command[0], "nothing", *command[1:])
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "unknown sweep 'nothing'" in answer.err
    assert not list((tmp_path / "bocb-store").iterdir()), "a reading command made something"


def test_errors_are_json_where_json_was_asked_for(call: Call) -> None:
    answer = call("status", "nothing", "--json")
    assert answer.out == ""
    assert json.loads(answer.err)["kind"] == "usage"


def test_a_store_that_is_a_file_is_exit_five(call: Call, write_spec: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    answer = call("run", write_spec(), "--store", "store")
    assert (answer.code, answer.err.count("\n")) == (5, 1)
    assert "is a file" in answer.err


@pytest.mark.parametrize(
    "arguments", [["--retry", "foo"], ["--address", "127.0.0.1:1"]], ids=lambda arguments: arguments[0]
)
def test_a_run_that_is_refused_leaves_no_store(
    call: Call, write_spec: Callable[..., str], tmp_path: Path, arguments: list[str]
) -> None:
    assert call("run", write_spec(), "--store", "fresh", *arguments).code in (2, 4)
    assert not (tmp_path / "fresh").exists()


def test_sql_that_would_write_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bocb-store").mkdir()
    answer = call("query", f"COPY (SELECT 1) TO '{tmp_path}/leak.csv'")
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert "COPY" in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["bocb-store"]


def test_list_has_the_promised_facts(call: Call) -> None:
    backbones = json.loads(call("list", "backbones", "--json").out)
    assert {"name", "family", "parameters", "macs", "input_size", "source"} <= set(backbones[0])
    optimizers = json.loads(call("list", "optimizers", "--json").out)
    assert {"name", "category", "class", "source"} <= set(optimizers[0])
    sweeps = {entry["name"] for entry in json.loads(call("list", "sweeps", "--json").out)}
    assert {"quickstart", "cifar100_small", "synthetic_small"} <= sweeps
    for what in ("recipes", "datasets"):
        assert json.loads(call("list", what, "--json").out)


def test_every_network_of_timm_is_listed_when_asked_for(call: Call) -> None:
    few, every = (json.loads(call("list", "backbones", *more, "--json").out) for more in ((), ("--all",)))
    assert every[: len(few)] == few
    assert {tuple(entry) for entry in every} == {tuple(few[0])}, "all have the same keys"
    by_name = {entry["name"]: entry for entry in every}
    assert len(by_name) == len(every) > 1000, "a name of the catalogue is not listed a second time"
    resnet, vit = by_name["resnet18"], by_name["vit_base_patch16_384"]
    assert (resnet["family"], resnet["input_size"]) == ("timm", 224)
    assert resnet["image_sizes"] == "all are resized to 224; with data.image_size it sees that size"
    assert vit["image_sizes"] == "all are resized to 384; with data.image_size it is built for that size"
    assert by_name["resnet50"]["image_sizes"] == "32, 160, 192, 224, 256, 288; others are resized to 224"
    assert by_name["resnet50"]["initialisation"] == "timm"
    assert "for backbones" in call("list", "optimizers", "--all").err


def test_a_plan_tells_which_images_are_resized(call: Call, write_spec: Callable[..., str]) -> None:
    grid = {"backbones": ["test_resnet", "resnet_digits"], "optimizers": ["sgd"]}
    spec = write_spec(grid=grid, data={"name": "digits", "image_size": 32})
    assert json.loads(call("plan", spec, "--json").out)["image_sizes"] == {"test_resnet": 32, "resnet_digits": 32}
    assert "images:     8 px, resized to 32 px for test_resnet, resnet_digits" in call("plan", spec).out


def test_a_plan_on_a_data_set_of_a_users_own(call: Call, write_spec: Callable[..., str]) -> None:
    grid = {"backbones": ["test_resnet"], "optimizers": ["sgd"]}
    spec = write_spec(grid=grid, data={"name": "tests.own_images:stripes"})
    assert json.loads(call("plan", spec, "--json").out)["image_sizes"] == {"test_resnet": 160}
    assert "images:     16 px, resized to 160 px for test_resnet" in call("plan", spec).out


@pytest.mark.parametrize("sweep", ["quickstart", "synthetic_small"])
def test_sweeps_that_come_along_are_planned_by_name(call: Call, sweep: str) -> None:
    assert json.loads(call("plan", sweep, "--json").out)["sweep"] == sweep


def test_help_names_every_command(call: Call) -> None:
    help_text = call("--help").out
    for command in (
        "plan",
        "run",
        "submit",
        "status",
        "resume",
        "stop",
        "query",
        "compact",
        "verify",
        "report",
        "import",
        "compare",
        "list",
        "doctor",
    ):
        assert f" {command} " in help_text


OLD_STORE = Path(__file__).parent / "fixtures" / "store_v1"


@pytest.fixture
def small_store(tmp_path: Path) -> SweepStore:
    plan = small_plan(protocol={"default": {"seeds": 2}}, training={"epochs": 2})
    return run_here(plan, tmp_path / "bocb-store")


def test_verify_prints_problems_and_exits_with_five(call: Call, small_store: SweepStore) -> None:
    answer = call("verify", "small")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("small: nothing wrong in ")
    part = min(Path(small_store.files.location("small/curves")).glob("part*"))
    part.write_bytes(part.read_bytes()[:-1])
    answer = call("verify")
    assert answer.code == 5
    assert f"BAD  small/curves/{part.name}: part 1 of curves (driver 1): it is damaged: it does" in answer.out
    assert "     mend: bocb verify small --mend, then bocb resume small\n" in answer.out
    said = json.loads(call("verify", "--json").out)
    assert said["ok"] is False
    assert {"file", "problem", "lost", "mend", "sweep"} <= set(said["problems"][0])
    mended = call("verify", "small", "--mend")
    assert mended.code == 0
    assert f"small/curves/{part.name}: moved to .damaged" in mended.out
    assert call("verify", "nothing").code == 2
    assert call("verify", "--store", "elsewhere").code == 2


def test_the_paths_that_query_lists_are_what_it_answers_from(call: Call, small_store: SweepStore) -> None:
    assert call("compact").code == 0
    listed = call("query", "--paths", "trials")
    paths = listed.out.splitlines()
    assert (listed.code, len(paths)) == (0, 1)
    said = json.loads(call("query", "--paths", "--json").out)
    assert json.loads(call("query", "--paths", "--format", "json").out) == said
    assert set(said) == {"small"}
    assert set(said["small"]) == {"sweeps", "trials", "curves", "layers", "corruptions", "attempts"}
    assert said["small"]["trials"] == paths
    assert call("query", "--paths").out.splitlines() == [path for table in said["small"].values() for path in table]
    for table, files in said["small"].items():
        with run_query(open_store("bocb-store"), f"SELECT * FROM {table}") as answer:
            asked = answer.table()
        if not files:  # a synthetic sweep has no weights
            assert table in ("layers", "corruptions")
            assert asked.num_rows == 0
            continue
        # Compacted files are sorted by key, and DuckDB keeps the order of a file.
        assert pa.concat_tables([pq.read_table(path) for path in files]).cast(asked.schema).equals(asked)
        frame = pd.concat([pd.read_parquet(path) for path in files])
        pd.testing.assert_frame_equal(frame, asked.to_pandas(), check_dtype=False)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--paths", "trails"), "did you mean trials"),
        (("--paths", "SELECT * FROM trials"), "--paths takes the name of one table, or nothing"),
        (("--paths", "--format", "csv"), "there is no csv of it"),
        ((), "--paths"),
    ],
)
def test_paths_of_no_table_and_a_query_of_nothing_are_refused(
    call: Call, small_store: SweepStore, arguments: tuple[str, ...], sentence: str
) -> None:
    answer = call("query", *arguments)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert sentence in answer.err


HEAVY = ("ray", "torch", "timm", "pytorch_optimizer", "scipy", "optuna", "pandas", "fastparquet", "sklearn", "altair")


@pytest.mark.parametrize("arguments", [["status"], ["query", "SELECT count(*) FROM trials"]])
def test_looking_at_a_store_imports_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    shutil.copytree(OLD_STORE, tmp_path / "store")
    code = (
        "import sys\nfrom orchestrator import cli\n"
        f"sys.argv = ['bocb', *{arguments!r}, '--store', {str(tmp_path / 'store')!r}]\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
