"""DeepCount: Tables 1, 5, 6 and 7, its losses, detachable branches, training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import density
import numpy as np
import pytest
import torch
from rendered_spots import Render

from fastcount.models import Target, create_model
from fastcount.models.checkpoint import load_model, save_model
from fastcount.models.deepcount import DeepCount, DeepCountOutput, branch_stride
from fastcount.models.profile import Profile, profile_model
from fastcount.runtime.tiling import plan

MAPS = {1: (48, 64), 2: (24, 32), 3: (12, 16), 4: (6, 8), 5: (3, 4)}


def small(branches: Sequence[int] = (1, 2, 3, 4, 5)) -> DeepCount:
    return DeepCount(branches=branches, width=1 / 32)


@pytest.fixture(scope="module")
def full() -> Profile:
    with torch.device("meta"):
        return profile_model(create_model("deepcount"), (384, 512))


def test_backbone_cost_and_size() -> None:
    """Tables 5 and 6: million multiply-accumulates and parameters of what inference needs."""
    with torch.device("meta"):
        model = create_model("deepcount", branches=())
        profile = profile_model(model, (384, 512))
    back_end = profile.mmacs - profile.part("backbone")
    assert round(profile.part("backbone")) == 54_698
    assert round(back_end) == 6_034
    assert round(profile.mmacs) == 60_731
    assert round(profile.params / 1e6, 2) == 21.40
    assert round(81_198 / profile.mmacs, 2) == 1.34
    printed = ["3624", "906", "906", "226", "226", "57", "57", "14", "14", "3", "0.001"]
    ours = [x.mmacs for x in profile.layers if not x.name.startswith("backbone.")]
    assert [f"{x:.3f}" if x < 1 else f"{x:.0f}" for x in ours] == printed


def test_tiles() -> None:
    """The paper divides a picture; its public code resizes it first."""
    assert plan((600, 900), DeepCount(width=1 / 32).tiling).scaled == (600, 900)
    assert len(plan((600, 900), DeepCount(width=1 / 32).tiling)) == 4
    resized = DeepCount(width=1 / 32, tiles="grid")
    assert plan((600, 900), resized.tiling).scaled == (768, 1024)
    with pytest.raises(ValueError, match="tiles: need divide or grid, got 'overlap'"):
        DeepCount(width=1 / 32, tiles="overlap")  # type: ignore[arg-type]


def test_branch_costs(full: Profile) -> None:
    """Table 7, but for branch 1: there the paper prints the backbone's own 6,034."""
    ours = {k: round(full.part(f"branches.{k}")) for k in MAPS}
    assert ours == {5: 38, 4: 138, 3: 541, 2: 2_152, 1: 8_596}


def test_branch_1_layers(full: Profile) -> None:
    """Table 5, middle: the paper cuts decimals off where we round (37.7, 100.7, 402.7)."""
    layers = [x for x in full.layers if x.name.startswith("branches.1.")]
    assert [int(x.mmacs) for x in layers] == [37, 100, 402, 1610, 6442, 1]
    outputs = [(256, 3, 4), (256, 6, 8), (256, 12, 16), (256, 24, 32), (256, 48, 64), (1, 48, 64)]
    assert [x.output for x in layers] == outputs


def test_branches_share_no_weights() -> None:
    model = small()
    sets = [{id(p) for p in branch.parameters()} for branch in model.branches.values()]
    assert len(set.union(*sets)) == sum(map(len, sets))


def test_outputs() -> None:
    output = small()(torch.rand(2, 3, 384, 512))
    assert output.count.shape == (2,)
    assert {k: tuple(m.shape) for k, m in output.densities.items()} == {
        k: (2, 1, *size) for k, size in MAPS.items()
    }


@pytest.mark.parametrize("size", [(384, 384), (512, 384), (768, 1024)])
def test_other_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"takes 384x512.*got {size[0]}x{size[1]}.*tiles"):
        small()(torch.zeros(1, 3, *size))


def _outputs_and_targets() -> tuple[DeepCountOutput, list[Target]]:
    generator = torch.Generator().manual_seed(1)
    scale = torch.tensor([512.0, 384.0])
    sets = [torch.rand(n, 2, generator=generator) * scale for n in (7, 0)]
    sets[0] = torch.cat([sets[0], torch.tensor([[-0.4, 383.4], [600.0, 20.0]])])
    targets = [Target(count=float(len(points)), points=points) for points in sets]
    count = torch.rand(2, dtype=torch.float64, generator=generator) * 20
    densities = {
        k: torch.rand(2, 1, *size, dtype=torch.float64, generator=generator) / 8**k
        for k, size in MAPS.items()
    }
    return DeepCountOutput(count, densities), targets


@pytest.mark.parametrize(
    ("form", "sigma", "truncate", "factor"),
    [("paper", 5.0, 3.0, 1e-2 / (2 * 2)), ("public", 10.0, 2.4, 1e-2)],
)
def test_loss_in_plain_float64(form: str, sigma: float, truncate: float, factor: float) -> None:
    output, targets = _outputs_and_targets()
    expected = {}
    total = sum(abs(float(output.count[i]) - targets[i]["count"]) for i in range(2))
    expected["count"] = factor * 16 * total
    for k, maps in output.densities.items():
        total = 0.0
        for i, target in enumerate(targets):
            points = target["points"]
            truth = density.slow_density(
                points, [sigma] * len(points), (384, 512), 8 * 2 ** (k - 1), truncate
            )
            total += float(np.abs(maps[i, 0].numpy() - truth).sum())
        expected[f"branch_{k}"] = factor * total
    model = create_model("deepcount", loss=form, width=1 / 32)
    losses = {name: float(value) for name, value in model.loss(output, targets).items()}
    assert losses.pop("loss") == pytest.approx(sum(expected.values()), rel=1e-5)
    assert losses == pytest.approx(expected, rel=1e-5)


def test_weight_decay_is_the_l2_term() -> None:
    """SGD's weight decay w adds w * theta to the gradient: that of w / 2 * |theta|^2."""
    model = small(())
    before = model.count.weight.detach().clone()
    model.count.weight.grad = torch.zeros_like(before)
    torch.optim.SGD([model.count.weight], lr=0.5, weight_decay=1e-2).step()
    penalty = before.clone().requires_grad_()
    (1e-2 / 2 * penalty.square().sum()).backward()
    torch.testing.assert_close(model.count.weight.detach(), before - 0.5 * penalty.grad)


def test_training_lowers_the_loss(render: Render) -> None:
    images, targets = render((30, 60), (384, 512))
    model = small()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(14):
        loss = model.loss(model(images), targets)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses) < 0.8 * losses[0]  # not the last: at this rate it overshoots at times
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.slow
def test_learns_three_pictures(render: Render) -> None:
    images, targets = render((10, 20, 40), (384, 512))
    model = small(())
    assert density.overfit(model, images, targets, lr=3e-3, steps=120) < 0.02


def test_each_branch_feeds_the_whole_backbone(render: Render) -> None:
    """The paper's fusion of gradients: every branch reaches every layer of the trunk."""
    images, targets = render((20,), (384, 512))
    model = small()
    losses = model.loss(model(images), targets)
    for k in MAPS:
        (gradient,) = torch.autograd.grad(
            losses[f"branch_{k}"], [model.backbone.features[0].weight], retain_graph=True
        )
        assert gradient.abs().sum() > 0, k
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(losses["count"], list(model.branches["1"].parameters()))


def test_empty_truth_and_no_branches(render: Render) -> None:
    images, targets = render((0,), (384, 512))
    model = small(())
    losses = model.loss(model(images), targets)
    assert set(losses) == {"loss", "count"}
    losses["loss"].backward()
    with pytest.raises(ValueError, match="targets: 2 for a batch of 1"):
        model.loss(model(images), targets * 2)


@pytest.mark.parametrize("keep", [None, 1, 3, 5])
def test_detaching_keeps_count_and_map(keep: int | None, tmp_path: Path) -> None:
    model = create_model("deepcount", width=1 / 32).eval()
    assert isinstance(model, DeepCount)
    save_model(model, tmp_path / "full.safetensors")
    images = torch.rand(1, 3, 384, 512)
    with torch.no_grad():
        whole = model(images)
        assert model.detach_branches(keep) is model
        small_output = model(images)
        assert set(small_output.densities) == ({keep} if keep else set())
        torch.testing.assert_close(small_output.count, whole.count)
        # The file written now builds the smaller network, and the full file loads into it.
        save_model(model, tmp_path / "small.safetensors")
        again = load_model(tmp_path / "small.safetensors")
        fresh = create_model("deepcount", width=1 / 32, branches=[keep] if keep else [])
        fresh.load_state_dict(load_model(tmp_path / "full.safetensors").state_dict())
        for other in (again, fresh.eval()):
            output = other(images)
            torch.testing.assert_close(output.count, whole.count)
            for k, one in output.densities.items():
                torch.testing.assert_close(one, whole.densities[k])


def test_a_smaller_file_does_not_fill_a_larger_model() -> None:
    with pytest.raises(RuntimeError, match=r"branches\.1"):
        small().load_state_dict(small((5,)).state_dict())


def test_decodes_count_and_finest_map() -> None:
    output, _ = _outputs_and_targets()
    for attached in ((1, 2, 3, 4, 5), (4, 5), ()):
        chosen = {k: output.densities[k] for k in attached}
        decoded = small(()).decode(DeepCountOutput(output.count, chosen))
        assert [c.count for c in decoded] == pytest.approx(output.count.tolist(), rel=1e-6)
        for i, counting in enumerate(decoded):
            assert counting.size == (384, 512)
            if not attached:
                assert counting.density is None
                continue
            assert counting.stride == branch_stride(attached[0])
            finest = output.densities[attached[0]][i, 0]
            np.testing.assert_allclose(counting.density, finest.float().numpy())


def test_initialisation_is_xaviers() -> None:
    model = small()
    for name, parameter in model.named_parameters():
        if name.startswith("backbone."):
            continue
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif parameter.numel() > 500:
            area = parameter[0, 0].numel()
            fans = (parameter.shape[0] + parameter.shape[1]) * area
            assert parameter.std().item() == pytest.approx((2 / fans) ** 0.5, rel=0.15), name


def test_wrong_arguments() -> None:
    for branches in ((0,), (6,), (2, 2)):
        with pytest.raises(ValueError, match="branches: need different numbers"):
            create_model("deepcount", branches=branches)
    with pytest.raises(ValueError, match="loss: need one of paper, public, got 'mine'"):
        create_model("deepcount", loss="mine")
    with pytest.raises(ValueError, match="keep: branch 2 is not attached; attached are 5"):
        small((5,)).detach_branches(2)


def test_compiles_in_one_graph() -> None:
    model = small((2, 5)).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    images = torch.rand(1, 3, 384, 512)
    expected, found = model(images), compiled(images)
    torch.testing.assert_close(found.count, expected.count)
    torch.testing.assert_close(found.densities, expected.densities)
