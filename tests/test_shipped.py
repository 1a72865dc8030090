"""What the shipped models promise, on pictures they have not seen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data as skimage_data

import fastcount
from fastcount.data import open_dataset
from fastcount.data.base import CountingDataset
from fastcount.pictures import open_picture
from fastcount.runtime.counter import Counter
from fastcount.shipped import FOLDER, shipped_models, shipped_names, shipped_path

PICTURES = Path(skimage_data.__file__).parent
# Chosen before any was counted: skies, textures, things; nobody in any of them.
EMPTY = (
    "brick.png",
    "grass.png",
    "gravel.png",
    "moon.png",
    "hubble_deep_field.jpg",
    "rocket.jpg",
    "coffee.png",
    "chelsea.png",
    "page.png",
    "retina.jpg",
)


@pytest.fixture(scope="module")
def crowd() -> Counter:
    return fastcount.load("crowd")


def mean_error(counter: Counter, dataset: CountingDataset) -> float:
    errors = [
        abs(counter(dataset.picture(i)).count - dataset.annotation(i).count)
        for i in range(len(dataset))
    ]
    return float(np.mean(errors))


def test_cards_are_complete_and_files_small() -> None:
    models = {model.name: model for model in shipped_models()}
    assert set(models) == {"cells", "crowd", "leaves"}
    for name, model in models.items():
        assert model.path.stat().st_size <= 12_000_000
        for key in ("about", "terms", "command", "commit", "seed", "date", "results", "pictures"):
            assert model.card[key] is not None, f"{name}: {key}"
        assert (FOLDER / f"{name}.md").read_text().startswith(f"# `{name}`")


@pytest.mark.parametrize("name", EMPTY)
def test_nobody_is_seen_where_nobody_is(crowd: Counter, name: str) -> None:
    assert abs(crowd(PICTURES / name).count) <= 0.5


def test_coins_are_counted() -> None:
    counted = fastcount.load("cells", device="cpu")(PICTURES / "coins.png").count
    assert counted == pytest.approx(24, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["A", "B"])
def test_the_card_of_crowd_tells_its_errors(crowd: Counter, data_dir: Path, part: str) -> None:
    card = next(model.card for model in shipped_models() if model.name == "crowd")
    told = card["results"][f"ShanghaiTech {part}, every third test picture"]
    dataset = open_dataset(f"shanghaitech:{data_dir}/shanghaitech?part={part}&split=test")
    if len(dataset) != told["n"]:
        pytest.skip(f"the card is of {told['n']} pictures, here are {len(dataset)}")
    assert mean_error(crowd, dataset) == pytest.approx(told["mae"], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pictures", "reader", "place"),
    [
        ("cells", "VGG cells 76 to 100", "vgg_cells", "vgg_cells?numbers=76-100"),
        (
            "leaves",
            "Maize, the validation plants",
            "maize",
            "maize_leaves?part=counts&split=validation",
        ),
    ],
)
def test_the_card_tells_its_error(
    data_dir: Path, name: str, pictures: str, reader: str, place: str
) -> None:
    card = next(model.card for model in shipped_models() if model.name == name)
    dataset = open_dataset(f"{reader}:{data_dir}/{place}")
    told = card["results"][pictures]["mae"]
    assert mean_error(fastcount.load(name), dataset) == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize("name", shipped_names())
def test_the_shipped_export_counts_as_the_weights_do(name: str) -> None:
    exported, weights = fastcount.load(name, "cpu"), fastcount.load(shipped_path(name), "cpu")
    assert type(exported.engine) is not type(weights.engine)
    for picture in ("astronaut.png", "coins.png"):
        expected = weights(PICTURES / picture).count
        assert exported(PICTURES / picture).count == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", shipped_names())
def test_the_shipped_export_tells_nothing_of_where_it_was_made(name: str) -> None:
    content = (FOLDER / f"{name}.onnx").read_bytes()
    assert b"stack_trace" not in content
    assert not re.search(rb"\w\w\.py\b", content)


def test_counting_with_a_shipped_model_needs_no_torch() -> None:
    script = (
        "import sys, fastcount\n"
        f"print(fastcount.load('crowd', 'cpu')({str(PICTURES / 'coffee.png')!r}).count)\n"
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_no_seams_between_tiles(crowd: Counter) -> None:
    """The density of a picture does not depend on how it is cut."""
    picture = np.tile(open_picture(PICTURES / "astronaut.png"), (2, 3, 1))[:768, :1408]
    whole = crowd(picture)
    cut = crowd(picture, tile=1024)
    assert whole.count > 1, "nothing to compare"
    assert abs(cut.count - whole.count) <= 1e-3 * whole.count
    assert np.abs(cut.density - whole.density).sum() <= 1e-3 * whole.count


def test_the_command_counts_with_the_default_model(tmp_path: Path) -> None:
    picture = PICTURES / "astronaut.png"
    command = [sys.executable, "-m", "fastcount", "count", str(picture), "--json"]
    (result,) = json.loads(subprocess.check_output(command))
    assert result["count"] == pytest.approx(
        fastcount.load("crowd")(open_picture(picture)).count, rel=1e-3
    )


def test_counting_leaves_torch_as_it_was() -> None:
    counter = fastcount.load(shipped_path("crowd"), "cpu")
    before = torch.get_num_threads(), torch.is_grad_enabled()
    counter(PICTURES / "coffee.png")
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == before
