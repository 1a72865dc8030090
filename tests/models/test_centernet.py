"""CenterNet with the focal losses."""

from __future__ import annotations

import resource
import time

import box_pictures
import pytest
import torch

from fastcount.losses.mask_targets import box_heatmap
from fastcount.models import create_model
from fastcount.models.centernet import CenterNetOutput
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.parts.box_detector import box_truth
from fastcount.predict.torch_engine import TorchEngine
from fastcount.runtime.counter import Counter

COMPACT = {"backbone": "mobilenetv3_small_100", "width": 32, "head_width": 32}
LOSSES = ["focal", "mask_focal", "mask_focal_poly", "mask_focal_weighted"]


def perfect(boxes: torch.Tensor, size: tuple[int, int]) -> CenterNetOutput:
    """What a network without error puts out for ``boxes`` in a picture of ``size``."""
    h, w = size[0] // 4, size[1] // 4
    labels = torch.zeros(len(boxes), dtype=torch.int64)
    heat = box_heatmap([boxes], [labels], (h, w), stride=4)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 / 4
    x, y = middle.floor().long().T
    sides, offset = torch.zeros(1, 2, h, w), torch.zeros(1, 2, h, w)
    sides[0, :, y, x] = ((boxes[:, 2:] - boxes[:, :2]) / 4).T
    offset[0, :, y, x] = (middle - middle.floor() - 0.5).T
    return CenterNetOutput(torch.logit(heat, eps=1e-6), sides, offset, 4)


def test_shapes_and_refusals() -> None:
    model = create_model("centernet", **COMPACT, classes=["a", "b"]).eval()
    output = model(torch.rand(2, 3, 64, 96))
    assert output.heatmap.shape == (2, 2, 16, 24)
    assert output.sides.shape == output.offset.shape == (2, 2, 16, 24)
    assert output.heatmap.sigmoid().mean() < 0.05  # an untrained model sees nothing
    with pytest.raises(ValueError, match="multiples of 32, got 60x96"):
        model(torch.rand(1, 3, 60, 96))
    with pytest.raises(ValueError, match="fastcount boxes"):
        model.loss(output, [{"count": 0.0, "points": torch.zeros(0, 2)}] * 2)
    with pytest.raises(ValueError, match="need one of focal, mask_focal, mask_focal_poly"):
        create_model("centernet", **COMPACT, loss="dice")
    with pytest.raises(ValueError, match="epsilon: need a number > 0, got 0"):
        create_model("centernet", **COMPACT, epsilon=0)
    with pytest.raises(ValueError, match="no feature network 'dla'"):
        create_model("centernet", backbone="dla")
    with pytest.raises(ValueError, match="score_threshold"):
        create_model("centernet", **COMPACT, score_threshold=1.0)


def test_on_mobilenet_v2() -> None:
    model = create_model("centernet", backbone="mobilenet_v2", width=16, head_width=16).eval()
    assert model(torch.rand(1, 3, 64, 32)).heatmap.shape == (1, 1, 16, 8)


def test_decoding_a_perfect_output_gives_the_boxes_back() -> None:
    boxes = torch.tensor([[3.0, 5, 13, 17], [40, 8, 57.5, 20], [0, 50, 7, 64], [30, 30, 35, 36]])
    model = create_model("centernet", **COMPACT)
    (counting,) = model.decode(perfect(boxes, (64, 64)))
    assert counting.count == 4
    assert counting.size == (64, 64)
    assert counting.per_class == {"object": 4.0}
    found = torch.from_numpy(counting.boxes)
    order = torch.cdist(boxes, found).argmin(1)
    assert torch.allclose(found[order], boxes, atol=1e-4)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2 - 0.5
    assert torch.allclose(torch.from_numpy(counting.points)[order], middle, atol=1e-4)


def test_two_peaks_of_one_object_are_one() -> None:
    heat, sides = torch.full((2, 2, 16, 16), -9.0), torch.full((2, 2, 16, 16), 10.0)
    heat[0, 0, 5, 5], heat[0, 0, 5, 7] = 3.0, 2.0  # boxes of 10 cells, 2 apart
    heat[0, 0, 5, 14] = 1.0  # another object
    heat[0, 1, 5, 7] = 2.0  # another class
    heat[1, 0, 5, 7] = 2.0  # another picture
    output = CenterNetOutput(heat, sides, torch.zeros(2, 2, 16, 16), 4)
    model = create_model("centernet", **COMPACT, classes=["a", "b"])
    first, second = model.decode(output)
    assert first.per_class == {"a": 2.0, "b": 1.0}
    assert second.per_class == {"a": 1.0, "b": 0.0}
    assert first.points[:, 0].tolist() == [21.5, 57.5, 29.5]  # the higher peak stays
    model = create_model("centernet", **COMPACT, classes=["a", "b"], nms_threshold=1.0)
    assert model.decode(output)[0].per_class == {"a": 3.0, "b": 1.0}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_perfect_output_has_the_least_loss(loss: str) -> None:
    boxes = torch.tensor([[3.0, 5, 13, 17], [40, 8, 57.5, 20]])
    model = create_model("centernet", **COMPACT, loss=loss)
    target = [{"count": 2.0, "boxes": boxes}]
    output = perfect(boxes, (64, 64))
    best = model.loss(output, target)
    assert best["sides"] == best["offset"] == 0
    worse = CenterNetOutput(output.heatmap.roll(5, 3), output.sides + 1, output.offset, 4)
    other = model.loss(worse, target)
    assert other["heatmap"] > 5 * best["heatmap"]
    assert other["sides"].item() == pytest.approx(2)  # width and height, a cell each


@pytest.mark.parametrize("loss", LOSSES)
def test_odd_targets_have_a_finite_loss(loss: str) -> None:
    model = create_model("centernet", **COMPACT, loss=loss)
    targets = box_pictures.odd_targets()
    losses = model.loss(model(torch.rand(4, 3, 64, 64)), targets)
    assert all(torch.isfinite(each) for each in losses.values())
    losses["loss"].backward()


def test_which_boxes_count_as_truth() -> None:
    none, ignored, flat, rim = (
        box_truth(target, (64, 64), 1, torch.device("cpu")) for target in box_pictures.odd_targets()
    )
    assert (len(none.boxes), len(none.ignored)) == (0, 0)
    assert (len(ignored.boxes), len(ignored.ignored)) == (0, 1)
    assert (len(flat.boxes), len(flat.ignored)) == (0, 0)
    assert rim.boxes.tolist() == [[-4, 20, 12, 32]]
    with pytest.raises(ValueError, match="not finite"):
        box_truth(
            {"count": 1.0, "boxes": torch.full((1, 4), torch.nan)},
            (64, 64),
            1,
            torch.device("cpu"),
        )
    with pytest.raises(ValueError, match=r"expected 0 \.\. 0"):
        box_truth(
            {"count": 1.0, "boxes": torch.ones(1, 4), "labels": torch.tensor([1])},
            (64, 64),
            1,
            torch.device("cpu"),
        )


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_cells_take_no_gradient(loss: str) -> None:
    model = create_model("centernet", **COMPACT, loss=loss)
    heatmap = torch.zeros(1, 1, 16, 16, requires_grad=True)
    zeros = torch.zeros(1, 2, 16, 16)
    target = {
        "count": 1.0,
        "boxes": torch.tensor([[0.0, 0, 32, 32], [40, 40, 48, 48]]),
        "labels": torch.tensor([-1, 0]),
    }
    model.loss(CenterNetOutput(heatmap, zeros, zeros, 4), [target])["loss"].backward()
    assert heatmap.grad is not None
    assert (heatmap.grad[0, 0, :8, :8] == 0).all()
    assert (heatmap.grad[0, 0, 0, 8:] != 0).all()


def test_13000_heads_in_one_picture(capsys: pytest.CaptureFixture[str]) -> None:
    """Targets, loss and decoding of a crowd: nothing is capped. Prints time and memory."""
    rows, columns = 100, 130
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    corner = torch.stack([x, y], 2).reshape(-1, 2) * 8.0 + 1
    boxes = torch.cat([corner, corner + 6], 1)
    model = create_model("centernet", **COMPACT, loss="mask_focal_poly")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    output = perfect(boxes, (rows * 8, 1056))
    losses = model.loss(output, [{"count": float(len(boxes)), "boxes": boxes}])
    (counting,) = model.decode(output)
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    with capsys.disabled():
        print(f"\n13,000 heads: {seconds:.2f} s, {grown:.0f} MiB more than before")
    assert counting.count == 13_000
    assert losses["sides"] == losses["offset"] == 0
    assert torch.isfinite(losses["loss"])


def test_saved_with_its_threshold(tmp_path) -> None:
    model = create_model("centernet", **COMPACT, classes=["RBC", "WBC"], loss="mask_focal").eval()
    model.set_score_threshold(0.17)
    save_model(model, tmp_path / "m.safetensors", card={})
    again = load_model(tmp_path / "m.safetensors")
    assert again.classes == ("RBC", "WBC")
    assert float(again.score_threshold) == pytest.approx(0.17)
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(model(images).heatmap, again(images).heatmap)


def test_forward_compiles_without_a_break() -> None:
    model = create_model("centernet", **COMPACT).eval()
    compiled = torch.compile(lambda x: model(x).heatmap, fullgraph=True, backend="eager")
    images = torch.rand(1, 3, 64, 64)
    assert torch.allclose(compiled(images), model(images).heatmap)


def test_counts_a_picture_in_tiles_as_whole() -> None:
    model = create_model("centernet", **COMPACT, score_threshold=0.0).eval()
    counter = Counter(TorchEngine(model))
    counting = counter((torch.rand(33, 70, 3) * 255).byte().numpy())
    assert counting.size == (33, 70)
    assert counting.count == len(counting.boxes) == len(counting.labels) > 0
    assert (counting.points[:, 0] < 69.5).all()


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_overfits_four_pictures(loss: str) -> None:
    images, targets = box_pictures.squares([3, 7, 0, 11])
    model = create_model("centernet", **COMPACT, loss=loss)
    box_pictures.train(model, images, targets, steps=120, lr=3e-3)
    # in training mode: four pictures are too few for batch norm's running averages
    countings = model.decode(model(images))
    assert [counting.count for counting in countings] == [3, 7, 0, 11]
    found = torch.from_numpy(countings[3].boxes)
    truth = targets[3]["boxes"]
    nearest = torch.cdist(truth, found).argmin(1)
    assert (found[nearest] - truth).abs().mean() < 2


@pytest.mark.slow
def test_one_step_with_the_backbone_of_the_paper() -> None:
    images, targets = box_pictures.squares([3, 5])
    model = create_model("centernet", loss="mask_focal_poly")
    losses = box_pictures.train(model, images, targets, steps=2, lr=1e-4)
    assert all(loss > 0 for loss in losses)
    assert 15e6 < sum(p.numel() for p in model.parameters()) < 17e6


def test_tiles_overlap_by_as_far_as_the_papers_backbone_sees() -> None:
    model = create_model("centernet", backbone="dla34", width=8, head_width=8).double().eval()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d):  # positive, so that nothing cancels or is shut off
            torch.nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
    images = torch.ones(1, 3, 64, 1024, dtype=torch.float64, requires_grad=True)
    heatmap = model(images).heatmap
    (gradient,) = torch.autograd.grad(heatmap[0, 0, 8, 128], images)
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    reach = max(512 - int(columns[0]), int(columns[-1]) - 512)
    assert model.tiling.margin - 32 < reach <= model.tiling.margin
