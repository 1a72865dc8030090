"""RAZ-Net's further looks in numpy: the same as PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fastcount.models import create_model
from fastcount.models.raznet import RAZNet, RAZNetOutput
from fastcount.runtime.description import Description, Zoom
from fastcount.runtime.engine import TileResult
from fastcount.runtime.regions import _draws
from fastcount.runtime.tiling import Tiling
from fastcount.runtime.zooming import ZOOM, Seen, enlarged, look_again


@pytest.mark.parametrize("number", [1, 200, 1000])
def test_numbers_are_those_that_pytorch_draws(number: int) -> None:
    """Networks were trained on the regions that these give."""
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(number, dtype=torch.float64, generator=generator).numpy()
    np.testing.assert_array_equal(_draws(number), known)


def test_nothing_to_look_at() -> None:
    result = TileResult(0.0, points=np.zeros((0, 2), np.float32), scores=np.zeros(0, np.float32))

    def look(parts: np.ndarray) -> list[Seen]:
        raise AssertionError("there is no region to look at")

    picture = np.zeros((40, 50, 3), np.uint8)
    again = look_again(result, np.zeros((40, 50), np.float32), picture, look, Zoom(None))
    assert again.count == 0


def test_parts_are_enlarged_as_by_pytorch() -> None:
    parts = np.random.default_rng(0).random((3, 5, 9, 3), np.float32)
    images = torch.from_numpy(parts).permute(0, 3, 1, 2)
    known = F.interpolate(images, scale_factor=ZOOM, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(enlarged(parts), known.permute(0, 2, 3, 1).numpy(), atol=1e-6)
    one = parts[:, :1, :1]
    np.testing.assert_array_equal(enlarged(one), np.broadcast_to(one, (3, 2, 2, 3)))


class Bright(nn.Module):
    """In place of the zooming network: points where red is bright, crowds where green is."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        green = F.avg_pool2d(images[:, 1:2], 9, stride=1, padding=4, count_include_pad=False)
        return 20 * (images[:, :1] - 0.6), 60 * (green - 0.55)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("report", ["fusion", "localization"])
def test_further_looks_are_those_of_pytorch(depth: int, report: str) -> None:
    """The network and its peaks are PyTorch's; regions, parts and what is replaced are compared."""
    rng = np.random.default_rng(depth)
    picture = rng.integers(0, 256, (72, 96, 3), np.uint8)
    model = create_model("raznet", width=1 / 16, stage="zoom", depth=depth, report=report)
    assert isinstance(model, RAZNet)
    model.zoom = Bright()  # type: ignore[assignment]
    model.theta.copy_(torch.linspace(0, 9, 16).view(4, 4))
    images = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    density = torch.from_numpy(rng.uniform(0, 2, (1, 1, 9, 12)).astype(np.float32))
    logits = torch.from_numpy(rng.normal(size=(1, 1, 72, 96)).astype(np.float32))
    output = RAZNetOutput(images, density, logits, Bright()(images)[1])

    def look(parts: np.ndarray) -> list[Seen]:
        large = torch.from_numpy(parts).permute(0, 3, 1, 2)
        logits, attention = Bright()(large)
        found = model._locate(large, logits, None, 1)
        crowded = attention.sigmoid().numpy()[:, 0]
        return [
            Seen(one.points.numpy(), one.scores.numpy(), own)
            for one, own in zip(found, crowded, strict=True)
        ]

    (main,) = model.locate(output, 1)
    first = TileResult(
        float(len(main.points)),
        density=density[0, 0].numpy(),
        stride=model.stride,
        points=main.points.numpy(),
        scores=main.scores.numpy(),
    )
    theta = tuple(map(tuple, model.theta.tolist())) if report == "fusion" else None
    assert output.attention is not None
    attention = output.attention[0, 0].sigmoid().numpy()
    again = look_again(first, attention, picture, look, Zoom(theta, depth))

    (known,) = model.decode(output)
    (before,) = model.locate(output, depth - 1)
    assert known.points is not None
    assert not np.array_equal(before.points.numpy(), known.points)
    np.testing.assert_allclose(again.points, known.points, atol=1e-4)
    np.testing.assert_allclose(again.scores, known.scores, atol=1e-5)
    assert again.count == pytest.approx(known.count, rel=1e-6)
    if report == "fusion":
        np.testing.assert_allclose(again.density, known.density, atol=1e-6)


def test_a_description_keeps_what_is_done_with_the_second_look() -> None:
    tiling = Tiling(mode="overlap", tile=(64, 64), margin=8, align=8)
    for zoom in (None, Zoom(None, 3), Zoom(((1.5, float(np.finfo(np.float32).max)), (0.0, -2.0)))):
        written = Description("raznet", tiling, 8, locates="points", zoom=zoom).to_json()
        assert Description.from_json(written, "here").zoom == zoom
