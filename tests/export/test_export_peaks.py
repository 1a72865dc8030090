"""Peaks in an exported graph are the operator's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from fastcount.export.peaks import find_peaks_padded
from fastcount.export.stand_ins import stand_ins
from fastcount.ops import find_peaks_padded as operator


def maps(shape: tuple[int, ...], levels: int) -> Tensor:
    """Few levels make many ties and plateaus."""
    generator = torch.Generator().manual_seed(levels)
    return torch.randint(0, levels, shape, generator=generator).float() / (levels - 1)


@pytest.mark.parametrize("levels", [2, 4, 1000])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("smooth", [0, 3])
def test_the_same_peaks(levels: int, kernel_size: int, smooth: int) -> None:
    scores = maps((2, 3, 11, 7), levels)
    scores[0, 0, 3, 3] = torch.nan
    scores[1, 1, 0, 0] = torch.inf
    scores[1, 2] = 0.25  # a plateau, and below the threshold of the next line
    expected = operator(
        scores, kernel_size=kernel_size, threshold=0.3, smooth=smooth, max_peaks=200
    )
    points, found, valid = find_peaks_padded(scores, kernel_size, 0.3, smooth == 3, 200)
    assert torch.equal(valid, expected.valid)
    assert valid.max() > 1
    torch.testing.assert_close(found, expected.scores, rtol=0, atol=0)
    for points_of_map, expected_of_map in zip(
        points.flatten(0, 1).tolist(), expected.points.flatten(0, 1).tolist(), strict=True
    ):  # torch.topk, unlike ONNX's, does not say which of equal values comes first
        assert sorted(points_of_map) == sorted(expected_of_map)


class Peaks(nn.Module):
    def forward(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = operator(scores, kernel_size=3, threshold=0.3, smooth=3, max_peaks=9)
        return found.points, found.scores, found.valid


def test_the_operator_in_a_graph_becomes_onnx() -> None:
    """For maps of any size; equal scores in reading order."""
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    free = {2: Dim("height", min=1, max=4096), 3: Dim("width", min=1, max=4096)}
    program = torch.export.export(
        Peaks(), (maps((1, 2, 8, 6), 4),), dynamic_shapes=(free,), strict=False
    )
    written = torch.onnx.export(
        program.run_decompositions(stand_ins(torch.float32)),
        dynamo=True,
        opset_version=18,
        verbose=False,
    )
    assert written is not None
    model = written.model_proto
    assert {node.domain for node in model.graph.node} == {""}
    kinds = [node.op_type for node in model.graph.node]
    assert "NonZero" not in kinds
    assert all(len(node.output) == 1 for node in model.graph.node if node.op_type == "MaxPool")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    for shape, levels in (((1, 2, 8, 6), 3), ((1, 2, 15, 22), 2), ((1, 2, 3, 2), 5)):
        scores = maps(shape, levels)
        results = session.run(None, {model.graph.input[0].name: scores.numpy()})
        for value, expected in zip(results, Peaks()(scores), strict=True):
            np.testing.assert_allclose(value, expected.numpy(), rtol=1e-6)
