"""The score threshold that makes counts right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastcount.models import create_model
from fastcount.training.score_threshold import best_score_threshold, choose_score_threshold


def error_at(scores: list[torch.Tensor], truth: list[float], threshold: float) -> float:
    counts = [int((each >= threshold).sum()) for each in scores]
    return float(np.abs(np.array(counts) - truth).mean())


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_is_better(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    scores = [
        (torch.rand(int(torch.randint(0, 30, (), generator=draw)), generator=draw) * 20).round()
        / 20
        for _ in range(6)
    ]
    truth = torch.randint(0, 25, (6,), generator=draw).tolist()
    threshold, error = best_score_threshold(scores, truth)
    assert error == pytest.approx(error_at(scores, truth, threshold))
    rivals = [error_at(scores, truth, step / 1000) for step in range(1, 1001)]
    assert error <= min(rivals) + 1e-9


def test_the_middle_of_the_widest_gap() -> None:
    scores = [torch.tensor([0.9, 0.8, 0.2]), torch.tensor([0.7])]
    threshold, error = best_score_threshold(scores, [2, 1])
    assert threshold == pytest.approx(0.45)
    assert error == 0


def test_nothing_found_and_nothing_given() -> None:
    assert best_score_threshold([torch.zeros(0)], [3], least=0.1) == (pytest.approx(0.55), 3)
    assert best_score_threshold([torch.ones(2)], [2], least=1.0) == (1.0, 0)
    with pytest.raises(ValueError, match="one entry a picture"):
        best_score_threshold([], [])


def test_it_is_set_in_the_model() -> None:
    model = create_model(
        "centernet", backbone="mobilenetv3_small_100", width=16, head_width=16
    ).eval()
    picture = (torch.rand(40, 60, 3) * 255).byte().numpy()
    threshold, _ = choose_score_threshold(model, [(picture, 0.0)], least=0.0)
    assert float(model.score_threshold) == pytest.approx(threshold)
    state = model.state_dict()
    assert float(state["score_threshold"]) == pytest.approx(threshold)
    images = torch.from_numpy(picture).permute(2, 0, 1)[None, :, :32, :32].float() / 255
    assert model.decode(model(images))[0].count == 0
