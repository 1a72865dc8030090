"""FCOS, RetinaNet, FoveaBox and Faster R-CNN with the focal losses."""

from __future__ import annotations

from typing import Any

import box_pictures
import pytest
import torch

from fastcount.models import create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.parts.box_detector import BoxTruth
from fastcount.models.parts.dense_detector import (
    MATCHED,
    DenseOutput,
    matched_heatmap,
    matched_mask,
)

COMPACT: dict[str, dict[str, Any]] = {
    "fcos": {"levels": [3, 4], "channels": 32},
    "retinanet": {"levels": [3, 4], "channels": 32, "anchor_scale": 2.0},
    "foveabox": {"levels": [3, 4], "channels": 32, "scale": 2.0},
    "yolov5": {"size": "n"},
    "faster_rcnn": {"levels": [2, 3, 4], "channels": 16, "anchor_scale": 4.0, "proposals": 200},
}
MASKED = ["focal", "mask_focal", "mask_focal_poly", "mask_focal_weighted"]
CASES = [
    *[("fcos", loss) for loss in MASKED],
    *[("retinanet", loss) for loss in MASKED],
    *[("foveabox", loss) for loss in MASKED],
    *[("yolov5", loss) for loss in MASKED],
    *[("faster_rcnn", loss) for loss in ("cross_entropy", *MASKED)],
]


def compact(name: str, **options: Any) -> Any:
    if name != "yolov5":  # which has a backbone of its own
        options["backbone"] = "mobilenetv3_small_100"
    small = {"width": 16, "head_width": 16} if name == "centernet" else COMPACT[name]
    return create_model(name, **small, **options)


@pytest.mark.parametrize(("name", "loss"), CASES)
def test_odd_targets_have_a_finite_loss_with_gradients(name: str, loss: str) -> None:
    model = compact(name, loss=loss)
    losses = model.loss(model(torch.rand(4, 3, 64, 64)), box_pictures.odd_targets())
    assert all(torch.isfinite(each) for each in losses.values())
    losses["loss"].backward()
    untouched = [
        key
        for key, parameter in model.named_parameters()
        if parameter.grad is None and "backbone" not in key.split(".")
    ]
    assert untouched == []
    with pytest.raises(ValueError, match="fastcount boxes"):
        model.loss(model(torch.rand(1, 3, 64, 64)), [{"count": 0.0}])


@pytest.mark.parametrize("name", COMPACT)
def test_decode_save_load_and_refusal(name: str, tmp_path) -> None:
    options = {"classes": ["a", "b"], "score_threshold": 0.0, "nms_threshold": 1.0}
    model = compact(name, loss="mask_focal", **options).eval()
    images = torch.rand(2, 3, 64, 96)
    countings = model.decode(model(images))
    assert len(countings) == 2
    for one in countings:
        assert one.size == (64, 96)
        assert one.count == len(one.boxes) == len(one.scores) > 100  # torchvision stops at 100
        assert one.count == sum(one.per_class.values())
        assert set(one.labels.tolist()) <= {0, 1}
        assert one.boxes[:, 2].max() <= 96
    model.set_score_threshold(0.6)
    save_model(model, tmp_path / "m.safetensors", card={})
    again = load_model(tmp_path / "m.safetensors")
    assert float(again.score_threshold) == pytest.approx(0.6)
    before, after = (m.detect(m(images), 0.0)[0].scores for m in (model, again))
    assert torch.equal(before, after)
    with pytest.raises(ValueError, match=r"multiples of (16|32)"):
        model(torch.rand(1, 3, 60, 64))
    with pytest.raises(ValueError, match="loss: need one of"):
        compact(name, loss="dice")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", COMPACT)
def test_weights_in_half_precision(name: str, dtype: torch.dtype) -> None:
    model = compact(name)
    images, targets = torch.rand(4, 3, 64, 64), box_pictures.odd_targets()
    expected = model.loss(model(images), targets)
    narrow = model.to(dtype)
    losses = narrow.loss(narrow(images.to(dtype)), targets)
    for part, loss in losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, expected[part], rtol=0.1, atol=0.05)
    losses["loss"].backward()
    assert len(narrow.eval().decode(narrow(images.to(dtype)))) == 4


@pytest.mark.parametrize("name", COMPACT)
def test_a_higher_threshold_keeps_a_part(name: str) -> None:
    model = compact(name).eval()
    output = model(torch.rand(1, 3, 64, 64))
    with torch.no_grad():
        low = model.detect(output, 0.0)[0].scores
        middle = 0.9999 * float(low.median())  # some ask for more than it, some for as much
        high = model.detect(output, middle)[0].scores
    assert torch.equal(low[low > middle].sort().values, high.sort().values)


@pytest.mark.parametrize("name", COMPACT)
def test_forward_compiles(name: str) -> None:
    model = compact(name).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        plain = model.detect(model(images), 0.0)[0]
        compiled = model.detect(torch.compile(model, backend="eager")(images), 0.0)[0]
    torch.testing.assert_close(plain.scores, compiled.scores)


def test_target_of_anchors_is_the_heat_map_of_their_level() -> None:
    truths = [
        BoxTruth(
            torch.tensor([[8.0, 8, 24, 24], [0, 0, 64, 64]]),
            torch.tensor([1, 0]),
            torch.zeros(0, 4),
        )
    ]
    sizes, strides = [(8, 8), (4, 4)], [8, 16]
    matched = torch.full((1, 2 * (64 + 16)), -1)
    matched[0, 2 * (2 * 8 + 2)] = 0  # first anchor of cell (2, 2), where the box has its middle
    matched[0, 2 * (2 * 8 + 3) + 1] = 0  # second anchor of its right neighbour
    matched[0, 128 + 2 * (2 * 4 + 2)] = 1  # the large box, on the coarse level
    matched[0, 5] = -2
    mask = matched_mask(matched, truths, 2)
    target = matched_heatmap(matched, truths, sizes, strides, 2, 0.0)
    assert torch.equal(mask.nonzero()[:, 1:], torch.tensor([[36, 1], [39, 1], [148, 0]]))
    assert target[0, 36, 1] == 1
    assert 0 < target[0, 39, 1] < 1
    assert target[0, 148, 0] == 1


@pytest.mark.parametrize("name", COMPACT)
def test_beta_changes_nothing_but_on_a_heat_map(name: str) -> None:
    """Section 4.4.1 of the paper: p = 1 at every positive sample of a binary map."""
    images = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[6.0, 4, 22, 20], [40, 20, 120, 110]])  # some anchors lie beside middles
    part = "objectness" if name == "faster_rcnn" else "classification"
    found = []
    for options in ({"beta": 0.0}, {"beta": 4.0}, {"beta": 4.0, "target_map": "heatmap"}):
        torch.manual_seed(0)
        model = compact(name, loss="mask_focal", **options).eval()
        losses = model.loss(model(images), [{"count": 2.0, "boxes": boxes}])
        found.append(losses[part].item())
    assert found[0] == found[1]
    assert found[2] != pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("name", ["fcos", "retinanet", "foveabox", "yolov5"])
@pytest.mark.parametrize("poly", [False, True])
def test_mask_focal_loss_of_a_binary_map(name: str, poly: bool) -> None:
    model = compact(name, loss="mask_focal_poly" if poly else "mask_focal", gamma=3.0)
    output = model(torch.rand(1, 3, 128, 128))
    logits = output.head["cls_logits"]
    output.head["cls_logits"] = logits = torch.randn_like(logits)
    target: Any = {"count": 2.0, "boxes": torch.tensor([[4.0, 4, 30, 34], [40, 20, 120, 110]])}
    truths = model.truths([target], output, logits.device)
    matched = model.other_losses(output.head, truths, output)[MATCHED][0]
    learnt, decided = matched >= 0, matched != -2
    assert learnt.sum() > 1
    p = logits[0, :, 0].double().sigmoid()
    wrong = torch.where(learnt, 1 - p, p)
    entries = wrong**3 * (-torch.log1p(-wrong) + (wrong if poly else 0))
    expected = (entries * decided).sum() / learnt.sum()
    actual = model.loss(output, [target])["classification"]
    torch.testing.assert_close(actual.double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", COMPACT)
def test_an_unknown_target_map(name: str) -> None:
    with pytest.raises(ValueError, match="target_map: need one of binary, heatmap, got 'gauss'"):
        compact(name, target_map="gauss")


@pytest.mark.parametrize("name", [*COMPACT, "centernet"])
@pytest.mark.parametrize("number", [1, 3])
def test_every_picture_needs_a_target(name: str, number: int) -> None:
    model = compact(name)
    targets = [{"count": 0.0, "boxes": torch.zeros(0, 4)}] * number
    with pytest.raises(ValueError, match=f"targets: {number} for a batch of 2 pictures"):
        model.loss(model(torch.rand(2, 3, 64, 64)), targets)


@pytest.mark.parametrize("name", [*COMPACT, "centernet"])
def test_narrower_kernels_are_learnt(name: str) -> None:
    """Two objects so large and close that their hills run together at the paper's width."""
    boxes = torch.tensor([[0.0, 0, 120, 120], [16, 16, 128, 128]])
    target = {"count": 2.0, "boxes": boxes}
    images = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    losses = []
    for epsilon in (6.0, 24.0):
        torch.manual_seed(0)
        options: dict[str, Any] = {"loss": "mask_focal", "epsilon": epsilon}
        if name != "centernet":
            options["target_map"] = "heatmap"
        model = compact(name, **options)
        torch.manual_seed(0)
        losses.append(model.eval().loss(model(images), [target])["loss"].item())
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize("name", ["fcos", "retinanet", "foveabox", "yolov5"])
@pytest.mark.parametrize("loss", MASKED)
def test_ignored_anchors_take_no_gradient(name: str, loss: str) -> None:
    model = compact(name, loss=loss)
    output = model(torch.rand(1, 3, 64, 64))
    logits = output.head["cls_logits"].detach().clone().requires_grad_()
    output.head["cls_logits"] = logits
    boxes, labels = torch.tensor([[-8.0, -8, 70, 70]]), torch.tensor([-1])
    losses = model.loss(output, [{"count": 0.0, "boxes": boxes, "labels": labels}])
    assert losses["classification"] == 0
    losses = model.loss(output, [{"count": 0.0, "boxes": boxes[:0]}])
    assert losses["classification"] > 0


@pytest.mark.parametrize("name", ["fcos", "retinanet", "foveabox", "yolov5"])
def test_13000_heads_in_one_picture_are_all_found(name: str) -> None:
    model = compact(name, nms_threshold=1.0)
    small = model(torch.rand(1, 3, 64, 64))
    cells = sum(h * w for h, w in small.sizes)
    size = (800, 1056)
    sizes = [(size[0] // stride, size[1] // stride) for stride in model.strides]
    anchors = small.head["cls_logits"].shape[1] // cells * sum(h * w for h, w in sizes)
    head = {key: torch.full((1, anchors, one.shape[-1]), 0.3) for key, one in small.head.items()}
    head["cls_logits"] = torch.full((1, anchors, 1), -20.0)
    head["cls_logits"][:, :13_000] = torch.linspace(3, 5, 13_000)[:, None]
    (found,) = model.detect(DenseOutput(head, sizes, size), 0.5)
    assert len(found.boxes) == len(found.scores) == 13_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("fcos", "focal"),
        ("fcos", "mask_focal_poly"),
        ("retinanet", "mask_focal_poly"),
        ("foveabox", "mask_focal_poly"),
        ("yolov5", "mask_focal_poly"),
        ("faster_rcnn", "cross_entropy"),
    ],
)
def test_overfits_four_pictures(name: str, loss: str) -> None:
    images, targets = box_pictures.squares([2, 5, 0, 7], cell=21, extent=16)
    model = compact(name, loss=loss)
    box_pictures.train(model, images, targets, steps=100, lr=3e-3)
    # in training mode: four pictures are too few for batch norm's running averages
    output = model(images)
    truth = torch.tensor([target["count"] for target in targets])
    best = min(
        float((torch.tensor([len(one.scores) for one in found]) - truth).abs().sum())
        for found in (model.detect(output, threshold / 20) for threshold in range(2, 15))
    )
    assert best <= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPACT)
def test_one_step_with_the_backbone_of_the_paper(name: str) -> None:
    images, targets = box_pictures.squares([3, 5], side=128)
    model = create_model(name)
    losses = box_pictures.train(model, images, targets, steps=1, lr=1e-4)
    assert 0 < losses[0] < 100
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    low, high = {"yolov5": (80, 95), "faster_rcnn": (40, 50)}.get(name, (25, 45))
    assert low < millions < high


def test_tiles_of_faster_rcnn_overlap_by_as_far_as_its_first_stage_sees() -> None:
    model = create_model("faster_rcnn", channels=8).double().eval()
    for layer in model.modules():  # positive, so that nothing cancels or is shut off
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
            if layer.bias is not None:
                torch.nn.init.zeros_(layer.bias)
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(layer.weight)
    images = torch.full((1, 3, 64, 1024), 2.0, dtype=torch.float64, requires_grad=True)
    objectness = model(images).objectness[-1]
    (gradient,) = torch.autograd.grad(objectness[0, :, 0, 8].sum(), images)
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    reach = max(512 - int(columns[0]), int(columns[-1]) - (512 + 63))
    assert model.tiling.margin - 64 < reach <= model.tiling.margin
