"""Losses of counts in compiled graphs: the same graph for other numbers of objects."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from fastcount.models import Target
from fastcount.models.deepcount import DeepCount, DeepCountOutput
from fastcount.models.parts.whole_picture import true_counts


def deepcount_loss() -> Callable[[Tensor, list[Target]], Tensor]:
    model = DeepCount(width=1 / 32, branches=[])
    return lambda counts, targets: model.loss(DeepCountOutput(counts, {}), targets)["loss"]


def squares(counts: Tensor, targets: list[Target]) -> Tensor:
    return (true_counts(targets, counts) - counts).square().sum()


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize("loss", [deepcount_loss(), squares], ids=["deepcount", "leaves"])
def test_other_counts_need_no_other_graph(
    loss: Callable[[Tensor, list[Target]], Tensor], dynamic: bool | None
) -> None:
    torch._dynamo.reset()
    graphs = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(loss, fullgraph=True, dynamic=dynamic, backend=graphs)
    for numbers in ((3, 5, 2), (4, 7, 3), (9, 2, 6), (5, 5, 8), (2, 11, 4)):
        counts = torch.rand(3).requires_grad_()
        targets = [Target(count=float(number)) for number in numbers]
        found, expected = compiled(counts, targets), loss(counts, targets)
        torch.testing.assert_close(found, expected)
        gradients = [torch.autograd.grad(each, counts)[0] for each in (found, expected)]
        torch.testing.assert_close(*gradients)
    assert graphs.frame_count <= 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_counts_of_targets(dtype: torch.dtype) -> None:
    given = [0.0, 3.5, 16_777_217.0]
    counts = true_counts([Target(count=each) for each in given], torch.zeros(3, dtype=dtype))
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert torch.equal(counts, torch.tensor(given, dtype=wide))
    assert true_counts([], torch.zeros(0, dtype=dtype)).shape == (0,)
