"""Profiles by hand, layer by layer; and the model is left as it was."""

from __future__ import annotations

import io
import json

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from fastcount.models import create_model, list_models
from fastcount.models.profile import profile_model


class Odd(nn.Module):
    """One of each counted layer, one of them called twice, one never, a norm between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, (3, 5), stride=2, padding=(1, 2))
        self.norm = nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1)
        self.idle = nn.Linear(10, 10)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x))
        x = self.up(self.twice(self.twice(x)))
        last: Tensor = self.last(x.mean(dim=(2, 3)))
        return last


def test_by_hand() -> None:
    profile = profile_model(Odd(), (12, 20))
    rows = [(x.name, x.output, round(x.mmacs * 1e6), x.params) for x in profile.layers]
    assert rows == [
        ("first", (8, 6, 10), 6 * 10 * 8 * 15 * 3, 8 * 45 + 8),
        ("twice", (8, 6, 10), 6 * 10 * 8 * 9 * 2, 8 * 18),
        ("twice", (8, 6, 10), 6 * 10 * 8 * 9 * 2, 0),
        ("up", (6, 12, 20), 12 * 20 * 6 * 16 * 8, 8 * 6 * 16 + 6),
        ("last", (2,), 2 * 6, 6 * 2 + 2),
    ]
    assert profile.mmacs == pytest.approx(sum(row[2] for row in rows) / 1e6)
    assert profile.params == sum(p.numel() for p in Odd().parameters())
    assert profile.part("twice") == pytest.approx(2 * 6 * 10 * 8 * 18 / 1e6)
    assert profile.part("tw") == 0


def test_many_regions_of_one_picture_all_count() -> None:
    class Regions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.head(x.new_zeros(7, 4))
            return out

    (layer,) = profile_model(Regions(), (8, 8)).layers
    assert layer.output == (7, 3)
    assert layer.mmacs == pytest.approx(7 * 3 * 4 / 1e6)


def test_no_arithmetic_on_meta_gives_the_same() -> None:
    with torch.device("meta"):
        model = Odd()
    assert profile_model(model, (12, 20)) == profile_model(Odd(), (12, 20))


@pytest.mark.parametrize("name", list_models())
def test_no_architecture_needs_arithmetic(name: str) -> None:
    """``fastcount profile`` has only shapes go through it."""
    assert profile_model(create_model(name).to("meta"), (384, 512)).mmacs > 100


def test_json_form() -> None:
    profile = profile_model(Odd(), (12, 20))
    document = json.loads(json.dumps(profile.to_dict()))
    assert set(document) == {"params", "left_out", "mmacs", "layers"}
    assert document["params"] == profile.params
    assert document["mmacs"] == pytest.approx(profile.mmacs)
    assert document["layers"][0] == {
        "name": "first",
        "output": [8, 6, 10],
        "mmacs": pytest.approx(0.0216),
        "params": 368,
    }


def test_table_holds_rows_and_totals() -> None:
    profile = profile_model(Odd(), (12, 20))
    file = io.StringIO()
    Console(width=100, file=file).print(profile.table())
    text = file.getvalue()
    for word in ("first", "twice", "8x6x10", "0.022", "368", f"{profile.params:,}"):
        assert word in text


def test_model_is_left_as_it_was() -> None:
    model = Odd().double().train()
    model.up.eval()
    running = model.norm.running_mean.clone()
    profile_model(model, (12, 20))
    assert model.training
    assert model.norm.training
    assert not model.up.training
    torch.testing.assert_close(model.norm.running_mean, running)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_failed_run_takes_its_hooks_along() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(5, 5))
    with pytest.raises(RuntimeError):
        profile_model(model, (12, 20))
    assert not any(module._forward_hooks for module in model.modules())
    assert model.training


@pytest.mark.parametrize("size", [(0, 5), (4, -1), (3,)])
def test_wrong_sizes(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="size: need"):
        profile_model(Odd(), size)


def test_what_runs_elsewhere_is_told() -> None:
    model = create_model("raznet", stage="zoom", backbone="mobilenet_v2", width=1 / 16)
    profile = profile_model(model, (64, 96))
    assert profile.left_out == sum(p.numel() for p in model.zoom.parameters())
    assert profile_model(create_model("mcnn"), (64, 96)).left_out == 0
