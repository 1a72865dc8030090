"""The leaf counters in use: compiled, saved, on pictures of any size, trained."""

from __future__ import annotations

from pathlib import Path

import density
import numpy as np
import pytest
import torch
from leaves import BACKBONE, NAMES, small, targets
from rendered_spots import Render

from fastcount.models import create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter
from fastcount.runtime.tiling import plan


@pytest.mark.parametrize(
    "name",
    [
        "leaf_regression",
        "leaf_joint",  # holds what the two below consist of
        pytest.param("leaf_msr", marks=pytest.mark.slow),
        pytest.param("leaf_detection", marks=pytest.mark.slow),
    ],
)
def test_forward_compiles_without_a_break(name: str) -> None:
    model = small(name).eval()
    images = torch.rand(1, 3, 64, 64)
    compiled = torch.compile(lambda x: model(x).count, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(images), model(images).count)


@pytest.mark.parametrize("name", NAMES)
def test_saved_scaled_and_used_on_pictures(name: str, tmp_path: Path) -> None:
    model = small(name).eval()
    with torch.no_grad():  # counts above 0, and some peaks
        for last in model.modules():
            if isinstance(last, torch.nn.Linear) and last.out_features <= 2:
                last.bias[0] = 5.0
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        before = model(images)
        save_model(model, tmp_path / "m.safetensors", card={})
        again = load_model(tmp_path / "m.safetensors")
        torch.testing.assert_close(again(images).count, before.count)
        again.scale_counts(1.5)
        torch.testing.assert_close(again(images).count, 1.5 * before.count)
        if getattr(before, "std", None) is not None:
            torch.testing.assert_close(again(images).std, 1.5 * before.std)
            again.scale_std(2.0)
            torch.testing.assert_close(again(images).std, 3.0 * before.std)
            torch.testing.assert_close(again(images).count, 1.5 * before.count)
    counter = Counter(TorchEngine(model))
    pixels = (255 * images[0].permute(1, 2, 0)).round().byte().numpy()
    with torch.no_grad():  # of the model's own size, so neither scaled nor padded
        direct = load_model(tmp_path / "m.safetensors")(
            torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        )
    assert counter(pixels).count == pytest.approx(float(direct.count[0]), rel=1e-4, abs=1e-4)
    for height, width in ((1, 1), (30, 200), (150, 90)):
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        counting = counter(picture)
        assert counting.size == (height, width)
        if counting.points is not None:
            assert (counting.points < [width, height]).all()


def test_peaks_are_decoded_where_the_target_put_them() -> None:
    model = small("leaf_detection")
    points = torch.tensor([[8.0, 16.0], [35.0, 44.0], [63.0, 3.0]])
    truth = model.head.target([points, points[:0]], (64, 64), 3)
    (found, scores), (none, _) = model.head.points(truth, 0.4)
    assert len(none) == 0
    assert scores.tolist() == [1.0, 1.0, 1.0]
    order = found[:, 0].argsort()
    assert found[order].tolist() == [[8, 16], [32, 48], [56, 0]]
    assert (found[order] - points).abs().max() <= 7.5  # 63 belongs to the last cell


def test_sizes_follow_the_paper() -> None:
    tiling = create_model("leaf_msr", backbone=BACKBONE).tiling
    assert plan((400, 600), tiling).scaled == (800, 1200)
    assert plan((600, 400), tiling).scaled == (1200, 800)
    assert plan((1000, 4000), tiling).scaled == (333, 1333)
    square = plan((300, 200), small("leaf_msr").tiling)
    assert square.scaled == (64, 43)
    assert (square.rows[0].stop, square.columns[0].stop) == (64, 64)
    with pytest.raises(ValueError, match="size: need the pixels of the shorter"):
        small("leaf_msr", size=(100, 64))


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="loss: need one of gaussian, laplacian, l2"):
        small("leaf_msr", loss="l1")
    with pytest.raises(ValueError, match="'min_variance' needs variances"):
        small("leaf_msr", loss="l2")
    with pytest.raises(ValueError, match="fusion: need one of"):
        small("leaf_joint", fusion="best")
    with pytest.raises(ValueError, match="loss: 'l2' learns no variance"):
        small("leaf_joint", loss="l2")
    with pytest.raises(ValueError, match="radii: need 1 to 5"):
        small("leaf_detection", radii=(3, 0))
    with pytest.raises(ValueError, match="has no standard deviation to scale"):
        small("leaf_msr", loss="l2", fusion="average").scale_std(2.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_one_training_step_of_the_paper_s_network(name: str) -> None:
    model = create_model(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    # Two: the last batch norm of each residual branch starts at zero, and holds back what is
    # before it until it has moved itself.
    for _ in range(2):
        optimizer.zero_grad()
        loss = model.loss(model(torch.rand(2, 3, 64, 64)), targets(3, 9))["loss"]
        loss.backward()
        optimizer.step()
    unmoved = [key for key, p in model.named_parameters() if torch.equal(p, before[key])]
    assert torch.isfinite(loss)
    assert not unmoved


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_overfits_four_pictures(name: str, render: Render) -> None:
    images, truth = render((6, 10, 14, 18), (64, 64))
    model = small(name, **({} if name == "leaf_regression" else {"channels": 32}))
    # Likelihoods learn large variances instead of counts when they are hurried.
    lr, steps = (1e-3, 300) if name in ("leaf_msr", "leaf_joint") else (3e-3, 200)
    # leaf_joint ends at 0.001 to 0.043 by the seed, or another rounding; a constant at 0.5.
    assert density.overfit(model, images, truth, lr=lr, steps=steps) < 0.1
