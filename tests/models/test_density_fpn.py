from __future__ import annotations

import pytest
import torch

from fastcount.data import open_dataset
from fastcount.models import create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter


def test_shapes_and_refusal() -> None:
    model = create_model("density_fpn", width=16, depth=1).eval()
    output = model(torch.rand(2, 3, 64, 96))
    assert output.density.shape == (2, 1, 8, 12)
    assert (output.density >= 0).all()
    assert output.count.shape == (2,)
    with pytest.raises(ValueError, match="multiples of 32, got 60x96"):
        model(torch.rand(1, 3, 60, 96))


def test_enlarged_pictures_give_finer_maps() -> None:
    model = create_model("density_fpn", width=16, depth=1, magnify=2).eval()
    assert model.stride == 4
    assert model.tiling.tile == (768, 768)
    torch.manual_seed(0)
    images = torch.rand(1, 3, 64, 96)
    output = model(images)
    assert output.density.shape == (1, 1, 16, 24)
    assert output.size == model.decode(output)[0].size == (64, 96)
    plain = create_model("density_fpn", width=16, depth=1).eval()
    plain.load_state_dict(model.state_dict())
    twice = torch.nn.functional.interpolate(images, scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(output.density, plain(twice).density)
    points = torch.tensor([[30.0, 40.0]])
    assert torch.isfinite(model.loss(output, [{"count": 1.0, "points": points}])["loss"])
    with pytest.raises(ValueError, match="magnify: need 1, 2, 4 or 8, got 3"):
        create_model("density_fpn", magnify=3)


def test_every_picture_needs_a_target() -> None:
    model = create_model("density_fpn", width=16, depth=1)
    target = {"count": 0.0, "points": torch.zeros(0, 2)}
    with pytest.raises(ValueError, match="targets: 1 for a batch of 2 pictures; need one each"):
        model.loss(model(torch.rand(2, 3, 64, 64)), [target])


def test_forward_compiles_without_a_break() -> None:
    model = create_model("density_fpn", width=16, depth=1).eval()
    compiled = torch.compile(lambda x: model(x).density, fullgraph=True, backend="eager")
    images = torch.rand(1, 3, 64, 64)
    assert torch.allclose(compiled(images), model(images).density)


def test_frozen_blocks_take_no_gradient() -> None:
    model = create_model("density_fpn", width=16, depth=1, frozen=3)
    output = model(torch.rand(2, 3, 64, 64))
    model.loss(output, [{"count": 1.0, "points": torch.tensor([[8.0, 9.0]])}] * 2)[
        "loss"
    ].backward()
    assert model.backbone.stem.weight.grad is None
    assert model.backbone.blocks[1].project.weight.grad is None
    assert model.backbone.blocks[2].project.weight.grad is not None


def test_overfits_four_pictures() -> None:
    torch.manual_seed(0)
    data = open_dataset("synthetic:?kind=cells&count=16&least=6&pictures=4&size=64")
    samples = [data[i] for i in range(4)]
    images = torch.stack([s["image"].float() / 255 for s in samples])
    targets = [
        {"count": s["count"], "points": s["points"].as_subclass(torch.Tensor)} for s in samples
    ]
    model = create_model("density_fpn", width=32, depth=2, frozen=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 90)
    for _ in range(90):
        loss = model.loss(model(images), targets)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    truth = torch.tensor([t["count"] for t in targets])
    # in training mode: four pictures are too few for batch norm's running averages
    error = (model(images).count - truth).abs().sum() / truth.sum()
    assert error < 0.02


def test_empty_truth_gives_a_finite_loss() -> None:
    model = create_model("density_fpn", width=16, depth=1)
    target = {"count": 0.0, "points": torch.zeros(0, 2)}
    loss = model.loss(model(torch.rand(2, 3, 64, 64)), [target] * 2)["loss"]
    assert torch.isfinite(loss)
    loss.backward()


def test_a_saved_model_counts_the_same(tmp_path) -> None:
    torch.manual_seed(1)
    model = create_model("density_fpn", width=16, depth=1).eval()
    save_model(model, tmp_path / "m.safetensors", card={"name": "m"})
    again = load_model(tmp_path / "m.safetensors")
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(model(images).density, again(images).density)


def test_pictures_of_any_size_and_one_pixel() -> None:
    counter = Counter(TorchEngine(create_model("density_fpn", width=16, depth=1)))
    for height, width in [(1, 1), (33, 65), (200, 31)]:
        picture = (torch.rand(height, width, 3) * 255).byte().numpy()
        counting = counter(picture)
        assert counting.size == (height, width)
        assert counting.density.shape == (-(-height // 8), -(-width // 8))


def test_starts_from_public_mobilenet_weights(peers_dir) -> None:
    path = peers_dir / "mobilenet_v2_imagenet_int8_backbone.tflite"
    model = create_model("density_fpn", weights=str(path)).eval()
    assert "weights" not in model.config
    # a network that was loaded in the wrong order or scale blows up or dies out
    maps = model.backbone(torch.rand(1, 3, 96, 96) * 2 - 1)
    for features in maps:
        assert 0.5 < features.std() < 10


def test_a_file_that_is_no_mobilenet_is_refused(tmp_path, peers_dir) -> None:
    path = tmp_path / "other.tflite"
    path.write_bytes(b"not at all a flat buffer")
    with pytest.raises(ValueError, match="not a TensorFlow Lite file"):
        create_model("density_fpn", weights=str(path))
