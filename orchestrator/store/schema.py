"""The tables of the store: one record class per table, each column typed and documented here and nowhere else.

Rules that keep every Parquet reader right: flat scalars in default encodings; structure goes into JSON strings;
accuracies are fractions in [0, 1]; metrics are float32; timestamps are UTC microseconds without a zone; durations are
seconds; memory is bytes. Columns are only ever added, and `SCHEMA_VERSION` rises when one is.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import pyarrow as pa

SCHEMA_VERSION = 4

TEXT = pa.string()
INTEGER = pa.int64()
SMALL = pa.int32()
METRIC = pa.float32()
PRECISE = pa.float64()
MOMENT = pa.timestamp("us")
BOOLEAN = pa.bool_()


def column(kind: pa.DataType, doc: str, *, optional: bool = False) -> Any:
    """A dataclass field that is a Parquet column. Optional columns default to None."""
    metadata = {"arrow": kind, "doc": doc, "nullable": optional}
    return field(metadata=metadata, default=None) if optional else field(metadata=metadata)


def flag(doc: str) -> Any:
    """A dataclass field that is a Boolean column, False unless said otherwise."""
    return field(metadata={"arrow": BOOLEAN, "doc": doc, "nullable": False}, default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One version of a sweep: of its spec, or of the code and packages that run it."""

    TABLE: ClassVar[str] = "sweeps"
    KEY: ClassVar[tuple[str, ...]] = ("sweep", "version")

    sweep: str = column(TEXT, "Name of the sweep.")
    version: int = column(SMALL, "1 for the first, one more for each change of spec, code or packages.")
    driver_epoch: int = column(SMALL, "Which driver of the sweep wrote the row: 1, 2, ...")
    spec: str = column(TEXT, "The validated spec, as canonical JSON; where imported, the file and what it had.")
    spec_sha256: str = column(TEXT, "SHA-256 of `spec`.")
    trials_planned: int = column(
        INTEGER, "Trials of the whole plan, without those that can never run: a cell may have nothing to confirm."
    )
    cells: str = column(TEXT, "The plan's cells, as a JSON list of [backbone, recipe, optimizer].")
    created_at: datetime = column(MOMENT, "When this version was first run (UTC).")
    packages: str = column(TEXT, "Versions of Python and of the packages that matter, as a JSON object.")
    code_version: str = column(TEXT, "Version of bocb and digest of its source.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial that ended."""

    TABLE: ClassVar[str] = "trials"
    KEY: ClassVar[tuple[str, ...]] = ("sweep", "trial_id")

    sweep: str = column(TEXT, "Name of the sweep.")
    trial_id: str = column(TEXT, "Identity within the sweep, the same on every run of it.")
    backbone: str = column(TEXT, "Name of the network.")
    recipe: str = column(TEXT, "Name of the training recipe.")
    optimizer: str = column(TEXT, "Name of the optimizer.")
    dataset: str = column(TEXT, "Name of the data set.")
    input_size: int | None = column(SMALL, "Side of the images the network saw, in pixels.", optional=True)
    batch_size: int = column(SMALL, "Images per optimizer step; 0 where imported.")
    precision: str | None = column(TEXT, "Arithmetic of forward and backward passes.", optional=True)
    role: str = column(
        TEXT,
        "Why the trial exists: default, design, tune or confirm; imported where its result comes from elsewhere.",
    )
    number: int = column(SMALL, "Number of its setting within its cell and role, from 0.")
    replicate: int = column(SMALL, "Repetition of the same setting under another seed, from 0.")
    seed: int = column(
        INTEGER, "Seed of every random stream of the trial; where imported what the file says, else `replicate`."
    )
    state: str = column(TEXT, "COMPLETE, DIVERGED, PRUNED or FAIL.")
    reason: str | None = column(TEXT, "Why it is not COMPLETE, in a few words.", optional=True)
    score: float | None = column(
        PRECISE,
        "The number that trials are compared by; chance for DIVERGED, null for PRUNED and FAIL. Double precision, so "
        "that samplers rebuilt from the store see what they saw.",
        optional=True,
    )
    score_rule: str = column(TEXT, "How the score follows from the history, and on which part of the data.")
    val_top1_final: float | None = column(METRIC, "Validation accuracy after the last epoch.", optional=True)
    val_top1_best: float | None = column(METRIC, "Best validation accuracy of any epoch.", optional=True)
    val_top1_median10: float | None = column(
        METRIC, "Median validation accuracy of the last ten epochs.", optional=True
    )
    test_top1: float | None = column(METRIC, "Test accuracy after the last epoch; never selected on.", optional=True)
    epochs_done: int = column(SMALL, "Epochs trained; 0 where imported.")
    epochs_planned: int = column(SMALL, "Epochs of the whole budget; 0 where imported.")
    hp: str = column(TEXT, "Every hyper-parameter that acted, as a JSON object; empty where imported.")
    hp_source: str = column(
        TEXT,
        "Where the values come from: default (published), design, tune (a sampler), paper (what the paper tuned for "
        "the pair), paper-grid (the grid around that) or inferred (the paper has none for the pair: its setting or "
        "the middle of its grid is that of related backbones); imported where they are not known. Confirm trials "
        "have that of the trial they repeat.",
    )
    hp_lr: float | None = column(PRECISE, "Peak learning rate.", optional=True)
    hp_weight_decay: float | None = column(PRECISE, "Weight decay of the decayed parameters.", optional=True)
    point: str | None = column(
        TEXT,
        "Coordinates on the unit cube, as a JSON object; null for defaults and settings of the paper.",
        optional=True,
    )
    optimizer_class: str | None = column(TEXT, "Import path of the class that ran.", optional=True)
    groups: str | None = column(TEXT, "Parameter groups with their weight decay, as a JSON list.", optional=True)
    parameters: int | None = column(INTEGER, "Number of trained scalars.", optional=True)
    classes: int | None = column(SMALL, "Number of classes.", optional=True)
    attempt: int = column(SMALL, "The attempt that ended the trial, from 1; 0 where imported: nothing ran here.")
    driver_epoch: int = column(SMALL, "Which driver of the sweep wrote the row: 1, 2, ...")
    started_at: datetime = column(MOMENT, "When the last attempt started (UTC); where imported, when that was.")
    ended_at: datetime = column(MOMENT, "When the trial ended (UTC).")
    train_seconds: float | None = column(
        PRECISE, "Time in training and evaluation over all attempts kept.", optional=True
    )
    wall_seconds: float = column(PRECISE, "Time from the last attempt's start to its end.")
    images_per_second: float | None = column(METRIC, "Training images per second of `train_seconds`.", optional=True)
    peak_memory: int | None = column(
        INTEGER, "Bytes: device peak, or the process's resident size on CPUs.", optional=True
    )
    device: str | None = column(TEXT, "cpu, or the GPU's product name.", optional=True)
    code_version: str = column(
        TEXT, "Version of bocb and digest of its source; where imported of the one that did it."
    )
    recipe_sha256: str = column(TEXT, "Digest of the resolved recipe; empty where imported.")
    data_sha256: str | None = column(
        TEXT, "Digest of images (image files: names and sizes), labels and split.", optional=True
    )
    history_sha256: str | None = column(TEXT, "Digest of the learning curve, exact to the last bit.", optional=True)
    repeats: str | None = column(TEXT, "For confirm: the trial whose setting is repeated.", optional=True)
    superseded: bool = flag(
        "The spec no longer has the trial, or its setting is no longer among its cell's best: it counts no more."
    )
    micro_batch: int | None = column(
        SMALL,
        "Images per forward and backward pass, where memory was too small for the batch; null for the whole batch.",
        optional=True,
    )
    recipe_settings: str | None = column(TEXT, "Every field of the resolved recipe, as a JSON object.", optional=True)
    drop_path: float | None = column(
        METRIC, "Stochastic depth that acted: 0 in a network without residual branches.", optional=True
    )
    initialisation: str | None = column(TEXT, "How the network's fresh weights were drawn.", optional=True)
    val_top1_final_raw: float | None = column(
        METRIC,
        "As `val_top1_final`, of the weights themselves where the recipe averages them (the other columns are then "
        "those of the average); null where it does not.",
        optional=True,
    )
    val_top1_best_raw: float | None = column(METRIC, "As `val_top1_best`, of the weights themselves.", optional=True)
    val_top1_median10_raw: float | None = column(
        METRIC, "As `val_top1_median10`, of the weights themselves.", optional=True
    )
    source_sha256: str | None = column(
        TEXT,
        "Digests of the user's own source, by part (backbone, optimizer, data), as a JSON object; null without any.",
        optional=True,
    )
    layers: int | None = column(
        SMALL, "Rows of the trial in `layers`; null where no statistics of its weights were taken.", optional=True
    )
    corruptions: int | None = column(
        SMALL, "Rows of the trial in `corruptions`; null where it was not tested on corrupted images.", optional=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """One epoch of one trial."""

    TABLE: ClassVar[str] = "curves"
    KEY: ClassVar[tuple[str, ...]] = ("sweep", "trial_id", "epoch")

    sweep: str = column(TEXT, "Name of the sweep.")
    trial_id: str = column(TEXT, "The trial.")
    backbone: str = column(TEXT, "Name of the network.")
    optimizer: str = column(TEXT, "Name of the optimizer.")
    role: str = column(TEXT, "Role of the trial.")
    attempt: int = column(SMALL, "The attempt that reported the row.")
    driver_epoch: int = column(SMALL, "Which driver of the sweep wrote the row.")
    epoch: int = column(SMALL, "Epochs trained so far; the first row has 1.")
    train_loss: float | None = column(METRIC, "Mean training loss of the epoch, in nats.", optional=True)
    val_loss: float | None = column(METRIC, "Validation loss after the epoch, in nats.", optional=True)
    val_top1: float = column(METRIC, "Validation accuracy after the epoch.")
    val_top5: float | None = column(
        METRIC, "Validation top-5 accuracy; null with fewer than 6 classes.", optional=True
    )
    lr: float = column(METRIC, "Learning rate of the epoch's last step.")
    grad_norm: float | None = column(METRIC, "Mean L2 norm of the gradient before clipping.", optional=True)
    seconds: float = column(METRIC, "Wall time of the epoch, evaluation included.")
    val_loss_raw: float | None = column(
        METRIC,
        "Where the recipe averages the weights, the other `val_` columns are those of the average, and this is the "
        "validation loss of the weights themselves; else null.",
        optional=True,
    )
    val_top1_raw: float | None = column(METRIC, "As `val_top1`, of the weights themselves.", optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One weight of a trained network, as a matrix W of `rows` by `columns`.

    Where the recipe averages the weights, of the average. Numbers are null where they are undefined, and all of them
    where a weight is not finite. `trainers.weight_statistics` has the definitions.
    """

    TABLE: ClassVar[str] = "layers"
    KEY: ClassVar[tuple[str, ...]] = ("sweep", "trial_id", "layer")

    sweep: str = column(TEXT, "Name of the sweep.")
    trial_id: str = column(TEXT, "The trial.")
    backbone: str = column(TEXT, "Name of the network.")
    recipe: str = column(TEXT, "Name of the training recipe.")
    optimizer: str = column(TEXT, "Name of the optimizer.")
    role: str = column(TEXT, "Role of the trial.")
    attempt: int = column(SMALL, "The attempt that ended the trial.")
    driver_epoch: int = column(SMALL, "Which driver of the sweep wrote the row.")
    layer: str = column(TEXT, "Name of the parameter, as in the network's state.")
    position: int = column(SMALL, "Place among the network's weights, in the order of their definition, from 0.")
    kind: str = column(TEXT, "Class of the module that holds it: Conv2d, Linear, ...")
    rows: int = column(SMALL, "The weight's first dimension: outputs.")
    columns: int = column(INTEGER, "The product of its other dimensions: inputs, times the places of a kernel.")
    alpha: float | None = column(
        PRECISE,
        "Exponent of the power law in the tail of the eigenvalue density of W'W, by maximum likelihood; its standard "
        "error is about (alpha - 1) / sqrt(tail). Null where `rows` or `columns` is below 50.",
        optional=True,
    )
    alpha_xmin: float | None = column(
        PRECISE, "Smallest eigenvalue of the tail: where the distance is smallest.", optional=True
    )
    alpha_ks: float | None = column(
        PRECISE, "Kolmogorov-Smirnov distance between the tail and the power law.", optional=True
    )
    tail: int | None = column(SMALL, "Eigenvalues in the tail.", optional=True)
    entropy: float | None = column(
        PRECISE,
        "Of the values, in nats: over 256 equal bins between their 0.1 % and 99.9 % quantile.",
        optional=True,
    )
    l2_norm: float | None = column(PRECISE, "Frobenius norm.", optional=True)
    pca_energy: float | None = column(
        PRECISE,
        "Share of the variance of the rows that the largest tenth of the principal components holds (column means "
        "taken off).",
        optional=True,
    )
    stable_rank: float | None = column(PRECISE, "Squared Frobenius norm over squared spectral norm.", optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionRow:
    """A trained network on the test part, spoilt by one corruption in one severity as CIFAR-C is.

    Where the recipe averages the weights, of the average. `trainers.corruptions.catalogue` says what deviates.
    """

    TABLE: ClassVar[str] = "corruptions"
    KEY: ClassVar[tuple[str, ...]] = ("sweep", "trial_id", "corruption", "severity")

    sweep: str = column(TEXT, "Name of the sweep.")
    trial_id: str = column(TEXT, "The trial.")
    backbone: str = column(TEXT, "Name of the network.")
    recipe: str = column(TEXT, "Name of the training recipe.")
    optimizer: str = column(TEXT, "Name of the optimizer.")
    role: str = column(TEXT, "Role of the trial.")
    attempt: int = column(SMALL, "The attempt that ended the trial.")
    driver_epoch: int = column(SMALL, "Which driver of the sweep wrote the row.")
    corruption: str = column(TEXT, "Name of the corruption: gaussian_noise, ..., jpeg_compression.")
    severity: int = column(SMALL, "1 to 5.")
    top1: float = column(METRIC, "Test accuracy on the corrupted images.")
    loss: float = column(METRIC, "Their test loss, in nats.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """One execution of a trial: a row at its start and another at its end, of which the newer counts."""

    TABLE: ClassVar[str] = "attempts"
    KEY: ClassVar[tuple[str, ...]] = ("sweep", "trial_id", "attempt")
    LONG: ClassVar[tuple[str, ...]] = ("traceback", "log")
    """Columns that may hold a megabyte: who needs all attempts at once reads them without these."""

    sweep: str = column(TEXT, "Name of the sweep.")
    trial_id: str = column(TEXT, "The trial.")
    attempt: int = column(SMALL, "1 for the first execution.")
    driver_epoch: int = column(SMALL, "Which driver of the sweep wrote the row.")
    outcome: str = column(
        TEXT,
        "RUNNING until it ends; then the trial's state (COMPLETE, DIVERGED, PRUNED, FAIL), or why it runs again: "
        "ERROR (it raised), OOM (out of memory), HANG (silent for too long), LOST (its worker, node or driver died) "
        "or STOPPED (parked by a stop or before its node went away).",
    )
    reason: str | None = column(TEXT, "Why it ended so, in a few words.", optional=True)
    exception: str | None = column(TEXT, "Class of the exception.", optional=True)
    traceback: str | None = column(TEXT, "The whole traceback.", optional=True)
    node: str | None = column(TEXT, "Host it ran on.", optional=True)
    pid: int | None = column(INTEGER, "Process it ran in.", optional=True)
    first_epoch: int | None = column(SMALL, "The first epoch it trained: above 1 after a restore.", optional=True)
    epochs_done: int | None = column(SMALL, "Epochs trained when it ended.", optional=True)
    gpu_seconds: float | None = column(PRECISE, "Time in its own epochs times its share of a GPU.", optional=True)
    started_at: datetime = column(MOMENT, "When it started (UTC).")
    ended_at: datetime | None = column(MOMENT, "When it ended (UTC); null while it runs.", optional=True)
    micro_batch: int | None = column(
        SMALL, "Images per forward and backward pass; null for the whole batch.", optional=True
    )
    log: str | None = column(TEXT, "What it printed, at most 1 MB: the beginning and the end.", optional=True)


Row = SweepRow | TrialRow | CurveRow | LayerRow | CorruptionRow | AttemptRow
R = TypeVar("R", SweepRow, TrialRow, CurveRow, LayerRow, CorruptionRow, AttemptRow)
"""One kind of row, for what takes and gives rows of the same table."""
ROW_TYPES: tuple[type[Row], ...] = (SweepRow, TrialRow, CurveRow, LayerRow, CorruptionRow, AttemptRow)

WRITE_ORDER: tuple[type[Row], ...] = (SweepRow, CurveRow, LayerRow, CorruptionRow, AttemptRow, TrialRow)
"""A trial's row closes it, so it comes last: whatever is killed, a trial in the store has its whole curve there, and
all of its layers and corruptions."""
READ_ORDER = WRITE_ORDER[::-1]
"""Against the order of writing: what a row rests on was there before it, and is found after it."""

NEWEST_FIRST: dict[str, tuple[str, ...]] = {
    "sweeps": ("driver_epoch",),
    "trials": ("driver_epoch", "attempt"),
    "curves": ("driver_epoch", "attempt"),
    "layers": ("driver_epoch", "attempt"),
    "corruptions": ("driver_epoch", "attempt"),
    "attempts": ("driver_epoch", "ended_at"),
}
"""Per table, the columns that decide which of several rows of one key counts: the highest, nulls lowest."""


def columns_of(row_type: type[Row]) -> tuple[Field[Any], ...]:
    """The columns of a table, in order."""
    return fields(row_type)


def arrow_schema(row_type: type[Row]) -> pa.Schema:
    """The Arrow schema of a table, column documentation included."""
    return pa.schema(
        [
            pa.field(
                item.name,
                item.metadata["arrow"],
                nullable=item.metadata["nullable"],
                metadata={"doc": item.metadata["doc"]},
            )
            for item in columns_of(row_type)
        ],
        metadata={"bocb.schema_version": str(SCHEMA_VERSION), "bocb.table": row_type.TABLE},
    )
