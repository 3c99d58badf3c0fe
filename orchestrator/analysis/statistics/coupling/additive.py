"""The additive model of a table, row effect plus column effect, by least squares and with any cells missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from orchestrator.analysis.statistics.effect_coding import sum_to_zero


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditiveSpace:
    """What rows and columns can explain in the m observed cells of a table, as orthonormal bases.

    A vector here is a table of cell means, in row-major order and without the missing cells, times `root`: its
    squared length is then a sum of squares over all replicates.
    """

    observed: NDArray[np.bool_]
    """Shape (a, b)."""
    root: NDArray[np.float64]
    """Shape (m,): square roots of the numbers of replicates."""
    rows: NDArray[np.float64]
    """Shape (m, a): row means."""
    columns: NDArray[np.float64]
    """Shape (m, b): column means."""
    rows_given_columns: NDArray[np.float64]
    """Shape (m, a - 1): what rows explain beyond columns."""
    columns_given_rows: NDArray[np.float64]
    """Shape (m, b - 1)."""

    @property
    def additive(self) -> NDArray[np.float64]:
        """Shape (m, a + b - 1): rows and columns together."""
        return np.hstack([self.rows, self.columns_given_rows])

    @property
    def df_residual(self) -> int:
        """Degrees of freedom of the interaction: observed cells less those of the additive model."""
        return int(self.root.size - self.additive.shape[1])

    def vector(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """A table of means, shape (a, b) or (..., a, b), as vectors of shape (..., m)."""
        return np.asarray(means[..., self.observed] * self.root)

    def residual(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the additive model leaves of vectors of shape (..., m)."""
        basis = self.additive
        return vectors - (vectors @ basis) @ basis.T


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditiveFit:
    """Least-squares fit of y_ij = mean + row_i + column_j to the observed cells of a table, weighted equally."""

    mean: float
    row_effects: NDArray[np.float64]
    """Shape (a,): they sum to 0."""
    column_effects: NDArray[np.float64]
    """Shape (b,): they sum to 0."""
    fitted: NDArray[np.float64]
    """Shape (a, b): also in missing cells."""
    residuals: NDArray[np.float64]
    """Shape (a, b): the interaction of each cell; NaN where it is missing."""
    df_residual: int

    @property
    def interaction(self) -> NDArray[np.float64]:
        """Shape (a, b): the residuals with missing cells imputed by the fit, which makes them 0 there."""
        return np.where(np.isfinite(self.residuals), self.residuals, 0.0)


def is_connected(observed: ArrayLike) -> bool:
    """Whether every two rows can be compared, through columns that they share directly or by way of other rows.

    Without that, row and column effects cannot be told apart (Searle 1987, Linear Models for Unbalanced Data).
    """
    links = np.argwhere(np.asarray(observed, dtype=bool))
    a, b = np.shape(observed)
    graph = csr_array((np.ones(len(links)), (links[:, 0], a + links[:, 1])), shape=(a + b, a + b))
    return int(connected_components(graph, directed=False, return_labels=False)) == 1


def additive_space(counts: ArrayLike) -> AdditiveSpace | None:
    """The additive model of a table whose cells carry these numbers of replicates (0: missing).

    Returns:
        None where a row or a column effect is not defined: fewer than two of either, or cells that fall into parts
        with no row or column in common.

    Raises:
        ValueError: `counts` is no table.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"counts have the shape (rows, columns), not {table.shape}")
    if min(table.shape) < 2 or not is_connected(table > 0):
        return None
    row, column = np.nonzero(table > 0)
    root = np.sqrt(table[row, column])
    rows, columns = (_means_of_groups(group, root) for group in (row, column))
    return AdditiveSpace(
        observed=table > 0,
        root=root,
        rows=rows,
        columns=columns,
        rows_given_columns=_beyond(rows, columns),
        columns_given_rows=_beyond(columns, rows),
    )


def additive_fit(means: ArrayLike) -> AdditiveFit | None:
    """Fits the additive model to a table of means of shape (a, b), NaN where a cell is missing.

    With every cell present it is double centring. Cells count equally, however many replicates are behind them:
    the fit describes the table that is shown.

    Returns:
        None where the effects are not defined: see `additive_space`.
    """
    table = np.asarray(means, dtype=np.float64)
    observed = np.isfinite(table)
    if table.ndim != 2 or (space := additive_space(observed)) is None:
        return None
    a, b = table.shape
    row, column = np.nonzero(observed)
    coded = [sum_to_zero(levels) for levels in (a, b)]
    design = np.hstack([np.ones((row.size, 1)), coded[0][row], coded[1][column]])
    centre = float(table[observed].mean())
    solution = np.linalg.lstsq(design, table[observed] - centre)[0]
    row_effects, column_effects = coded[0] @ solution[1:a], coded[1] @ solution[a:]
    mean = centre + float(solution[0])
    fitted = mean + row_effects[:, np.newaxis] + column_effects[np.newaxis, :]
    return AdditiveFit(
        mean=mean,
        row_effects=row_effects,
        column_effects=column_effects,
        fitted=fitted,
        residuals=table - fitted,
        df_residual=space.df_residual,
    )


def _means_of_groups(group: NDArray[np.intp], root: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (m, groups): orthonormal, because groups do not overlap."""
    indicators = (group[:, np.newaxis] == np.arange(group.max() + 1)) * root[:, np.newaxis]
    return np.asarray(indicators / np.sqrt((indicators**2).sum(axis=0)))


def _beyond(target: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """A basis of what `target` spans orthogonally to `known`: one dimension less in a connected table."""
    left, _, _ = np.linalg.svd(target - known @ (known.T @ target), full_matrices=False)
    return np.asarray(left[:, : target.shape[1] - 1])
