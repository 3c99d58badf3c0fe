"""SOAP as pytorch-optimizer has it, for which a gradient that is not finite is a result and no error."""

from __future__ import annotations

import pytorch_optimizer
import torch
from torch import Tensor


class SOAP(pytorch_optimizer.SOAP):
    """Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321)."""

    @staticmethod
    def get_orthogonal_matrix(mat: list[Tensor]) -> list[Tensor]:  # type: ignore[override]  # annotated as one tensor
        """The eigenvectors of each preconditioner; NaN for one that is not finite, which LAPACK refuses."""
        matrices = [m if len(m) == 0 or m.isfinite().all() else torch.eye(len(m)).to(m) for m in mat]
        found: list[Tensor] = pytorch_optimizer.SOAP.get_orthogonal_matrix(matrices)  # type: ignore[arg-type]
        return [q if m is given else q * torch.nan for q, m, given in zip(found, matrices, mat, strict=True)]
