"""MCNN: its target and loss, its shape, public weights, learning pictures by heart."""

from __future__ import annotations

from pathlib import Path

import density
import h5py
import numpy as np
import pytest
import torch
from rendered_spots import Render
from torch import Tensor

from fastcount.models import DensityOutput, Target, create_model
from fastcount.models.convert_mcnn import convert_mcnn, load_public_mcnn
from fastcount.models.mcnn import MCNN


def test_learns_a_few_pictures(render: Render) -> None:
    images, targets = render((10, 14, 20), (32, 32))
    assert density.overfit(MCNN(sigma=3.0), images, targets, lr=3e-3, steps=160) < 0.02


@pytest.mark.parametrize("size", [(64, 48), (37, 50), (4, 4)])
def test_output_covers_every_pixel(size: tuple[int, int]) -> None:
    output = MCNN()(torch.rand(2, 3, *size))
    assert output.density.shape == (2, 1, -(-size[0] // 4), -(-size[1] // 4))
    assert output.stride == 4
    assert output.density.min() >= 0
    assert (output.count > 0).all()


def test_sees_brightness_only() -> None:
    model = MCNN().eval()
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0] = 0.5
    grey = torch.full((1, 3, 16, 16), 0.5 * 0.299)
    torch.testing.assert_close(model(red).density, model(grey).density)


@pytest.mark.parametrize("sigma", [2.5, "adaptive"])
def test_loss_is_half_the_summed_square(sigma: float | str) -> None:
    generator = torch.Generator().manual_seed(3)
    sets = [torch.rand(n, 2, generator=generator) * 30 for n in (5, 0, 1)]
    sets[0] = torch.cat([sets[0], torch.tensor([[-40.0, 3.0], [500.0, 500.0]])])  # outside
    targets = [Target(count=float(len(points)), points=points) for points in sets]
    maps = torch.rand(3, 1, 8, 8, dtype=torch.float64, generator=generator)
    expected = 0.0
    for one, points in zip(maps, sets, strict=True):
        sigmas = (
            density.slow_adaptive_sigma(points) if sigma == "adaptive" else [sigma] * len(points)
        )
        truth = density.slow_density(points, sigmas, (32, 32), 4)
        expected += float(np.square(one[0].numpy() - truth).sum()) / (2 * 3)
    model = create_model("mcnn", sigma=sigma)
    loss = model.loss(DensityOutput(maps, 4), targets)["loss"]
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_target_may_bring_its_own_widths() -> None:
    points = torch.tensor([[5.0, 5.0], [20.0, 9.0]])
    target = Target(count=2.0, points=points, sigma=torch.tensor([1.0, 4.0]))
    maps = torch.zeros(1, 1, 8, 8)
    truth = density.slow_density(points, [1.0, 4.0], (32, 32), 4)
    loss = MCNN(sigma=9.0).loss(DensityOutput(maps, 4), [target])["loss"]
    assert float(loss) == pytest.approx(float(np.square(truth).sum()) / 2, rel=1e-5)


def test_points_on_one_spot_have_a_kernel() -> None:
    target = Target(count=4.0, points=torch.full((4, 2), 9.0))
    truth = MCNN().target_density([target], (32, 32), torch.device("cpu"))
    assert float(truth.sum()) == pytest.approx(4.0, rel=1e-5)


def test_empty_truth_has_a_gradient() -> None:
    model = MCNN()
    output = model(torch.rand(1, 3, 20, 20))
    model.loss(output, [Target(count=0.0, points=torch.zeros(0, 2))])["loss"].backward()
    assert model.fuse.weight.grad is not None
    assert model.fuse.weight.grad.abs().sum() > 0


def test_wrong_arguments() -> None:
    for sigma in ("wide", 0.0, -2.0):
        with pytest.raises(ValueError, match="sigma"):
            create_model("mcnn", sigma=sigma)
    with pytest.raises(ValueError, match="targets: 1 for a batch of 2"):
        MCNN().loss(
            DensityOutput(torch.zeros(2, 1, 4, 4), 4), [Target(count=0, points=torch.zeros(0, 2))]
        )


def test_tiles_overlap_as_far_as_it_sees() -> None:
    margin = MCNN.tiling.margin
    assert margin - 8 < density.reach(MCNN(), 32) <= margin


def test_compiles_in_one_graph() -> None:
    model = MCNN().eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for size in ((32, 32), (21, 40)):
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(compiled(images).density, model(images).density)


def test_decodes_to_its_own_sum() -> None:
    with torch.no_grad():
        output = MCNN()(torch.rand(2, 3, 24, 16))
    for counting, count in zip(MCNN().decode(output), output.count.tolist(), strict=True):
        assert counting.count == pytest.approx(count, rel=1e-5)
        assert counting.stride == 4
        assert counting.density is not None
        assert counting.density.shape == (6, 4)


def _public_file(path: Path) -> dict[str, Tensor]:
    """Writes random weights in the public layout; what was written."""
    arrays = {}
    columns = (
        ((9, 7, 7, 7), (1, 16, 32, 16, 8)),
        ((7, 5, 5, 5), (1, 20, 40, 20, 10)),
        ((5, 3, 3, 3), (1, 24, 48, 24, 12)),
    )
    for b, (kernels, channels) in enumerate(columns, 1):
        for i, place in enumerate((0, 2, 4, 5)):
            name = f"DME.branch{b}.{place}.conv"
            shape = (channels[i + 1], channels[i], kernels[i], kernels[i])
            arrays[f"{name}.weight"] = torch.randn(shape) / (shape[1] * kernels[i] ** 2) ** 0.5
            arrays[f"{name}.bias"] = torch.randn(channels[i + 1])
    arrays["DME.fuse.0.conv.weight"] = torch.rand(1, 30, 1, 1)
    arrays["DME.fuse.0.conv.bias"] = torch.rand(1)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array.numpy()
    return arrays


def test_public_weights_are_the_same_function(tmp_path: Path) -> None:
    arrays = _public_file(tmp_path / "public.h5")
    model = load_public_mcnn(tmp_path / "public.h5")
    pixels = torch.randint(0, 256, (1, 1, 40, 32)).float()

    def layer(x: Tensor, name: str) -> Tensor:
        weight = arrays[f"{name}.weight"]
        padding = weight.shape[-1] // 2
        return torch.conv2d(x, weight, arrays[f"{name}.bias"], padding=padding).relu()

    columns = []
    for b in (1, 2, 3):
        x = layer(pixels, f"DME.branch{b}.0.conv")  # grey from 0 to 255
        x = layer(torch.max_pool2d(x, 2), f"DME.branch{b}.2.conv")
        x = layer(torch.max_pool2d(x, 2), f"DME.branch{b}.4.conv")
        columns.append(layer(x, f"DME.branch{b}.5.conv"))
    expected = layer(torch.cat(columns, 1), "DME.fuse.0.conv")
    with torch.no_grad():
        density_map = model(pixels.expand(-1, 3, -1, -1) / 255).density
    assert expected.max() > 0
    torch.testing.assert_close(density_map, expected, rtol=1e-4, atol=1e-3)


def test_unknown_layouts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    _public_file(path)
    with h5py.File(path, "a") as file:
        file["DME.branch1.0.bn.weight"] = np.ones(16, np.float32)
    with pytest.raises(ValueError, match=r"unknown \['DME.branch1.0.bn.weight'\]"):
        convert_mcnn(path)
    with h5py.File(path, "a") as file:
        del file["DME.branch1.0.bn.weight"], file["DME.fuse.0.conv.bias"]
    with pytest.raises(ValueError, match=r"lacks \['DME.fuse.0.conv.bias'\]"):
        convert_mcnn(path)
    with h5py.File(path, "a") as file:
        file["DME.fuse.0.conv.bias"] = np.ones(7, np.float32)
    with pytest.raises(ValueError, match=r"fuse.bias has shape \(7,\)"):
        convert_mcnn(path)
    path.write_bytes(b"no weights at all")
    with pytest.raises(ValueError, match="not an HDF5 file"):
        convert_mcnn(path)
    with pytest.raises(FileNotFoundError, match=r"gone\.h5"):
        convert_mcnn(tmp_path / "gone.h5")


@pytest.mark.parametrize(
    ("weights", "part"), [("mcnn_shtechA_660.h5", "A"), ("mcnn_shtechB_110.h5", "B")]
)
def test_real_weights_count_real_people(
    peers_dir: Path, data_dir: Path, weights: str, part: str
) -> None:
    """Three test pictures: far from exact, but no broken conversion is within half."""
    from fastcount.data import open_dataset

    dataset = open_dataset(f"shanghaitech:{data_dir / 'shanghaitech'}?part={part}&split=test")
    model = load_public_mcnn(peers_dir / weights)
    counted, truth = [], []
    for index in (0, len(dataset) // 2, len(dataset) - 1):
        sample = dataset[index]
        with torch.inference_mode():
            counted.append(float(model(sample["image"][None].float() / 255).count))
        truth.append(sample["count"])
    errors = np.abs(np.subtract(counted, truth))
    assert errors.mean() < 0.5 * np.mean(truth)
