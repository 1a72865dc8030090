"""CountSeg: its size, stages, counts, masks, files, and pictures learned by heart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import density
import numpy as np
import pytest
import torch
from rendered_spots import Render
from torch import Tensor, nn

from fastcount.losses import countseg as losses
from fastcount.models import Target, create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.countseg import CountSeg, CountSegOutput
from fastcount.predict import TorchEngine
from fastcount.runtime.counter import Counter

SMALL = "mobilenetv3_small_050"


def small(**options: Any) -> CountSeg:
    return CountSeg(**{"backbone": SMALL, "channels": 16, **options})


def labelled(*labels: list[int]) -> list[Target]:
    return [Target(count=float(len(one)), labels=torch.tensor(one).long()) for one in labels]


def test_size_of_the_papers_backbone() -> None:
    names = [f"class {number}" for number in range(20)]
    with torch.device("meta"):
        model = CountSeg(classes=names)
        output = model(torch.zeros(1, 3, 448, 448))
    assert output.category.shape == output.density.shape == (1, 20, 14, 14)
    sizes = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    assert sizes == {
        "normalize": 0,
        "backbone": 25_557_032 - 2_049_000,  # ResNet-50 without its last layer
        "halves": 60 * (2048 + 1),  # 2P = 3C = 60
        "category": 2 * 30 + 20 * (30 + 1),
        "density": 2 * 30 + 20 * (30 + 1),
    }
    assert CountSeg(classes=("a", "b", "c"), backbone=SMALL).halves.out_channels == 10


@pytest.mark.slow
def test_one_training_step_of_the_papers_backbone() -> None:
    model = CountSeg(classes=("a", "b")).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    before = [p.detach().clone() for p in model.parameters()]
    output = model(torch.rand(2, 3, 64, 64))
    model.loss(output, labelled([0, 0], [1] * 7))["loss"].backward()
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_counts_above_four_never_reach_the_loss() -> None:
    model, output = small(classes=("a", "b")), _output(5)
    five = model.loss(output, labelled([0] * 5 + [1], [1] * 3))
    hundreds = model.loss(output, labelled([0] * 500 + [1], [1] * 3))
    assert {k: float(v) for k, v in five.items()} == {k: float(v) for k, v in hundreds.items()}
    four = model.loss(output, labelled([0] * 4 + [1], [1] * 3))
    assert float(four["loss"]) != float(five["loss"])
    one = small()
    many = [
        one.loss(_output(5, classes=1), [Target(count=n), Target(count=2.0)])["loss"]
        for n in (5.0, 12_865.0)
    ]
    assert torch.equal(*many)


def _output(cells: int, classes: int = 2) -> CountSegOutput:
    generator = torch.Generator().manual_seed(8)
    category, maps = torch.randn(2, 2, classes, cells, cells, generator=generator)
    return CountSegOutput(category, maps / 10, (32 * cells, 32 * cells))


def test_terms_and_stages() -> None:
    output, targets = _output(6), labelled([0] * 6, [1, 1])
    full = small(classes=("a", "b")).loss(output, targets)
    assert set(full) == {"loss", "class", "spatial", "mse", "rank"}
    assert float(full["loss"]) == pytest.approx(sum(float(v) for k, v in full.items()) / 2)
    first = small(classes=("a", "b"), stage=1).loss(output, targets)
    assert set(first) == {"loss", "class", "mse", "rank"}
    some = small(classes=("a", "b"), terms=["class", "mse"]).loss(output, targets)
    assert set(some) == {"loss", "class", "mse"}
    tenfold = small(classes=("a", "b"), rank_weight=1.0).loss(output, targets)
    assert float(tenfold["rank"]) == pytest.approx(10 * float(full["rank"]))
    assert float(full["rank"]) > 0


def test_a_share_of_the_negatives() -> None:
    names = [str(number) for number in range(60)]
    output, targets = _output(4, 60), labelled([0], [1])
    every = float(small(classes=names).loss(output, targets)["spatial"])
    none = small(classes=names, negatives=0.0).loss(output, targets)
    positive = float(none["spatial"])
    drawn = [
        float(small(classes=names, negatives=0.5).loss(output, targets)["spatial"])
        for _ in range(2)
    ]
    assert drawn[0] != drawn[1]  # anew each time
    for one in drawn:
        assert positive < one
        assert one == pytest.approx(every, rel=0.2)  # a mean over fewer


def test_the_class_branch_learns_from_its_loss_alone() -> None:
    model = small(classes=("a", "b"), terms=["spatial", "mse", "rank"])
    output = model.train()(torch.rand(2, 3, 96, 96))
    model.loss(output, labelled([0, 1], [1] * 6))["loss"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.category.parameters())
    assert all(p.grad is not None and p.grad.any() for p in model.density[2].parameters())


def test_public_form() -> None:
    """Its count is the mean of what the branch draws; the losses but for that are the same."""
    images, truth = torch.rand(1, 3, 96, 128), labelled([0, 0, 1])
    found = {}
    for form in ("paper", "public"):
        torch.manual_seed(0)
        model = small(classes=("a", "b"), form=form).eval()
        found[form] = model, model(images)
    (paper, output), (public, other) = found.values()
    torch.testing.assert_close(other.density, output.density / 12)
    torch.testing.assert_close(
        public.loss(other, truth)["mse"],
        losses.count_mse_loss(output.density.mean(dim=(2, 3)), public.target_counts(truth)),
    )
    mask = losses.peak_mask(output.category, paper.target_counts(truth), "public")
    spatial = losses.spatial_positive_loss(output.density, mask, paper.target_counts(truth))
    torch.testing.assert_close(public.loss(other, truth)["spatial"], spatial)
    (counted,) = public.decode(other)
    assert counted.density is not None
    assert counted.count == pytest.approx(float(counted.density.sum()), abs=1e-6)
    with pytest.raises(ValueError, match="form: need paper or public, got 'mean'"):
        small(form="mean")


def test_counts_by_class() -> None:
    category = torch.full((1, 3, 3, 3), -2.0)
    category[0, 0, 1, 1] = 5.0  # there
    category[0, 1, 1, 1] = -1.0  # its only peak is below 0: not there
    category[0, 2, 1, 1] = 5.0
    maps = torch.full((1, 3, 3, 3), 0.3)
    maps[0, 2] = -0.1  # there, but of less than nothing
    output = CountSegOutput(category, maps, (96, 96))
    assert output.scores[0].tolist() == [5.0, -1.0, 5.0]
    (counted,) = small(classes=("cat", "dog", "cow")).decode(output)
    assert counted.per_class == pytest.approx({"cat": 2.7, "dog": 0.0, "cow": 0.0})
    assert counted.count == pytest.approx(2.7)
    assert counted.density is not None
    assert counted.density.sum() == pytest.approx(2.7, rel=1e-6)


def test_pictures_of_any_size() -> None:
    counter = Counter(TorchEngine(small(classes=("a", "b"))))
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in ((61, 83), (40, 33))]
    for picture, counted in zip(pictures, counter(pictures), strict=True):
        assert counted.size == picture.shape[:2]
        assert counted.per_class is not None
        assert sum(counted.per_class.values()) == pytest.approx(counted.count, abs=1e-5)
    output = small().eval()(torch.rand(1, 3, 70, 33))
    assert output.density.shape == (1, 1, 3, 2)


@pytest.mark.parametrize("backbone", [SMALL, "resnet50"])
def test_compiles_in_one_graph(backbone: str) -> None:
    model = small(backbone=backbone).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    images = torch.rand(1, 3, 64, 96)
    ours, theirs = model(images), compiled(images)
    torch.testing.assert_close(theirs.density, ours.density)
    assert theirs.size == ours.size == (64, 96)


def test_file_brings_everything_back(tmp_path: Path) -> None:
    model = small(classes=("red", "white"), stage=1, negatives=0.1).eval()
    save_model(model, tmp_path / "a.safetensors")
    loaded = load_model(tmp_path / "a.safetensors")
    assert isinstance(loaded, CountSeg)
    assert loaded.classes == ("red", "white")
    assert (loaded.terms, loaded.negatives) == (("class", "mse", "rank"), 0.1)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(images).counts, model(images).counts)


def test_empty_truth() -> None:
    model = small(classes=("a", "b")).train()
    loss = model.loss(model(torch.rand(2, 3, 96, 96)), labelled([], []))["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


class _Colours(nn.Module):
    """Stands for a trained backbone: red, blue, and all light, averaged over 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 2, 1, bias=False)
        self.pool = nn.AvgPool2d(8)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor([[1.0, -1, -1], [-1, -1, 1]]).view(2, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.mix(x).relu())
        return pooled


def test_masks_of_what_is_there() -> None:
    """A red and two blue squares: each peak takes its own square, not both, not the ground."""
    # squares that fill one cell of 8 pixels whole, so that their peaks are strict
    image, truth = torch.full((3, 64, 96), 0.0), torch.zeros(3, 64, 96, dtype=torch.bool)
    for mask, (y, x, c) in zip(truth, ((10, 10, 0), (34, 34, 2), (34, 74, 2)), strict=True):
        mask[y : y + 14, x : x + 14] = True
        image[c, mask] = 1.0
    model = small(classes=("red", "blue")).eval()
    model.stride = 8  # type: ignore[misc]
    model.normalize = nn.Identity()  # type: ignore[assignment]
    model.backbone, model.halves = _Colours(), nn.Conv2d(2, 4, 1, bias=False)
    model.category, model.density = nn.Sequential(nn.Identity()), nn.Sequential(nn.Identity())
    with torch.no_grad():
        model.halves.weight.zero_()
        for out, into, weight in ((0, 0, 1.0), (1, 1, 1.0), (2, 0, 64 / 196), (3, 1, 64 / 196)):
            model.halves.weight[out, into] = weight  # a square's density adds up to 1
    both = truth[1] | truth[2]
    given = torch.stack([*truth, both, ~truth.any(dim=0), truth[0] | truth[1]])
    for proposals in ([given], None):
        (found,) = model.segment(image[None], proposals)
        assert sorted(found.labels.tolist()) == [0, 1, 1]
        for mask, label, point in zip(found.masks, found.labels, found.points, strict=True):
            own = [
                t
                for t, c in zip(truth, (0, 1, 1), strict=True)
                if c == label and t[int(point[1]), int(point[0])]
            ]
            assert len(own) == 1
            iou = float((mask & own[0]).sum()) / float((mask | own[0]).sum())
            assert iou > (0.9 if proposals else 0.7)  # made ones are a blurred pixel off
        assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    (nothing,) = model.segment(torch.zeros(1, 3, 64, 96), [given])
    assert nothing.masks.shape == (0, 64, 96)
    (nothing,) = model.segment(image[None], [given[:0]])
    assert nothing.masks.shape == (0, 64, 96)
    with pytest.raises(ValueError, match=r"need \(N, 64, 96\) masks for each of 1"):
        model.segment(image[None], [given[:, :10]])
    with pytest.raises(ValueError, match=r"call model\.eval"):
        model.train().segment(image[None], [given])


@pytest.mark.slow
def test_learns_a_few_pictures(render: Render) -> None:
    """Counts within the subitizing range, with a compact backbone."""
    images, targets = render((1, 2, 3, 4), (96, 96), seed=3)
    model = small(stage=2).train()
    assert density.overfit(model, images, targets, lr=3e-3, steps=120) < 0.02


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="classes: need a list of names, got 'cells'"):
        CountSeg(classes="cells")
    with pytest.raises(ValueError, match="stage: need 1 or 2, got 3"):
        CountSeg(stage=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="terms: need some of class, spatial"):
        CountSeg(terms=["class", "size"])
    with pytest.raises(ValueError, match="negatives: need a share"):
        CountSeg(negatives=10.0)
    with pytest.raises(ValueError, match="size: need a multiple of 32 pixels, got 100"):
        CountSeg(size=100)
    with pytest.raises(ValueError, match="only 'imagenet' can be fetched, got 'coco'"):
        create_model("countseg", weights="coco")
    model, output = small(classes=("a", "b")), _output(3)
    with pytest.raises(ValueError, match="a model of 2 classes needs labels"):
        model.loss(output, [Target(count=1.0)] * 2)
    with pytest.raises(ValueError, match=r"found \[0, 2\] for a model of 2 classes"):
        model.loss(output, labelled([0, 2], []))
    with pytest.raises(ValueError, match="1 for a batch of 2 pictures"):
        model.loss(output, labelled([0]))
