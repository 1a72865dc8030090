"""Counting with a network under PyTorch, and loading it by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastcount import shipped
from fastcount.counting import Counting
from fastcount.models import CountingModel, DensityOutput, create_model
from fastcount.models.base import Target, decode_density
from fastcount.models.checkpoint import save_model
from fastcount.predict import TorchEngine, load_with_torch
from fastcount.predict.torch_engine import fold_batch_norm
from fastcount.runtime import Counter, Tiling

PICTURE = np.random.default_rng(0).integers(0, 256, (157, 203, 3), np.uint8)


class Tiny(CountingModel):
    """Three convolutions, the second of stride 8: sees 1 + 8 + 8 pixels to each side."""

    name = "tiny"
    tiling = Tiling(tile=(512, 512), margin=24, align=8)

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 8, stride=8),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 1, 3, padding=1),
            nn.Softplus(),
        )
        for module in self.layers:
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1, 0.3)
                nn.init.normal_(module.bias, 0, 0.3)
                module.running_mean = torch.randn(8) * 0.1
                module.running_var = torch.rand(8) + 0.5

    def forward(self, images: Tensor) -> DensityOutput:
        return DensityOutput(self.layers(images), 8)

    def loss(self, output: DensityOutput, targets: list[Target]) -> dict[str, Tensor]:
        return {"loss": output.count.sum()}

    def decode(self, output: DensityOutput) -> list[Counting]:
        return decode_density(output)


def test_tiles_give_what_the_whole_gives() -> None:
    counter = Counter(TorchEngine(Tiny()))
    whole = counter(PICTURE)
    for options in ({"tile": 64}, {"tile": (160, 64), "batch_size": 4}):
        tiled = counter(PICTURE, **options)
        assert tiled.count == pytest.approx(whole.count, rel=1e-4)
        np.testing.assert_allclose(tiled.density, whole.density, rtol=1e-3, atol=1e-6)


def test_the_engine_gives_what_the_model_gives() -> None:
    """Also that folding batch norms changes nothing, and that there are none left."""
    plain = Tiny().eval()
    tile = PICTURE[:152, :200]
    with torch.no_grad():
        expected = plain(torch.from_numpy(tile).permute(2, 0, 1)[None] / 255)
    engine = TorchEngine(Tiny())
    (result,) = engine.run(tile[None])
    assert result.count == pytest.approx(float(expected.count), rel=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in engine.model.modules())
    assert not engine.model.training


def test_what_a_norm_does_beside_normalising_is_kept() -> None:
    class Rectified(nn.BatchNorm2d):
        def forward(self, values: Tensor) -> Tensor:
            return super().forward(values).relu()

    layers = nn.Sequential(nn.Conv2d(1, 1, 1), Rectified(1)).eval()
    nn.init.constant_(layers[0].weight, -1.0)
    nn.init.constant_(layers[0].bias, 0.0)
    fold_batch_norm(layers)
    assert float(layers(torch.ones(1, 1, 1, 1)).detach()) == 0.0


def test_a_batch_is_its_pictures_one_by_one() -> None:
    engine = TorchEngine(Tiny())
    batch = np.stack([PICTURE[:64, :64], PICTURE[64:128, 64:128] // 2])
    together = [result.count for result in engine.run(batch)]
    alone = [engine.run(tile[None])[0].count for tile in batch]
    assert together == pytest.approx(alone, rel=1e-5)
    assert alone[0] != pytest.approx(alone[1], rel=1e-3)


def test_load_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    save_model(create_model("mcnn"), tmp_path / "crowd.safetensors", card={"mae": 1.5})
    by_path = load_with_torch(tmp_path / "crowd.safetensors", device="cpu")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    by_name = load_with_torch("crowd")
    assert by_name(PICTURE).count == by_path(PICTURE).count
    assert by_name.name == "mcnn"
    (model,) = shipped.shipped_models()
    assert (model.name, model.architecture, model.card) == ("crowd", "mcnn", {"mae": 1.5})


def test_what_cannot_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match=r"no model is called 'crwod'.*none in this installation"):
        load_with_torch("crwod")
    (tmp_path / "crowd.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="shipped models are: crowd"):
        load_with_torch("crwod")
    with pytest.raises(ValueError, match="'mcnn' is an architecture without weights"):
        load_with_torch("mcnn")
    with pytest.raises(FileNotFoundError, match=r"no model file .*x\.safetensors"):
        load_with_torch(tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"crowd\.safetensors: is not a model file"):
        shipped.shipped_models()


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    save_model(create_model("mcnn"), tmp_path / "m.safetensors")
    for device in ("cuda:99", "abacus"):
        with pytest.raises(ValueError, match=f"device: '{device}' cannot be used here"):
            load_with_torch(tmp_path / "m.safetensors", device=device)
