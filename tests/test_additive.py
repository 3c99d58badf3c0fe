from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols

from orchestrator.analysis.statistics.coupling.additive import additive_fit, additive_space, is_connected


def test_a_complete_table_is_centred_twice() -> None:
    table = np.random.default_rng(0).normal(70, 3, size=(4, 5))
    fit = additive_fit(table)
    assert fit is not None
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    assert fit.residuals == pytest.approx(residuals, abs=1e-11)
    assert fit.mean == pytest.approx(table.mean())
    assert fit.row_effects == pytest.approx(table.mean(axis=1) - table.mean())
    assert fit.column_effects == pytest.approx(table.mean(axis=0) - table.mean())
    assert fit.df_residual == 12


def test_missing_cells_are_fitted_as_by_statsmodels() -> None:
    table = np.random.default_rng(1).normal(70, 3, size=(5, 4))
    table[0, 0], table[3, 1], table[3, 2] = np.nan, np.nan, np.nan
    fit = additive_fit(table)
    assert fit is not None
    row, column = np.nonzero(np.isfinite(table))
    reference = ols("y ~ C(a) + C(b)", pd.DataFrame({"y": table[row, column], "a": row, "b": column})).fit()
    assert fit.fitted[row, column] == pytest.approx(reference.fittedvalues.to_numpy(), abs=1e-10)
    everywhere = pd.DataFrame({"a": np.repeat(range(5), 4), "b": np.tile(range(4), 5)})
    assert fit.fitted.ravel() == pytest.approx(reference.predict(everywhere).to_numpy(), abs=1e-10)
    assert fit.df_residual == reference.df_resid
    assert np.isnan(fit.residuals[0, 0])
    assert fit.interaction[0, 0] == 0
    # With zeros for the missing cells it is doubly centred, as the decompositions of it need.
    assert fit.interaction.sum(axis=0) == pytest.approx(0, abs=1e-10)
    assert fit.interaction.sum(axis=1) == pytest.approx(0, abs=1e-10)


def test_bases_are_orthonormal_and_count_the_effects() -> None:
    counts = np.array([[2, 0, 1], [3, 1, 0], [0, 2, 2], [1, 1, 1]])
    space = additive_space(counts)
    assert space is not None
    assert space.additive.T @ space.additive == pytest.approx(np.eye(6), abs=1e-12)
    assert space.rows_given_columns.T @ space.columns == pytest.approx(0, abs=1e-12)
    assert space.df_residual == np.count_nonzero(counts) - 6


@pytest.mark.parametrize(
    ("observed", "connected"),
    [
        ([[1, 1], [1, 1]], True),
        ([[1, 0], [0, 1]], False),
        ([[1, 1, 0], [0, 1, 1]], True),
        ([[1, 1, 0], [0, 0, 1]], False),
        ([[1, 1], [0, 0]], False),
    ],
)
def test_connected_cells(observed: list[list[int]], connected: bool) -> None:
    assert is_connected(observed) is connected
    assert (additive_space(observed) is not None) is connected


def test_counts_need_two_dimensions() -> None:
    with pytest.raises(ValueError, match="shape"):
        additive_space([1, 2])
