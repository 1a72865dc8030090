from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import trees

from fastcount.data import CountingDataset, list_datasets, open_dataset


@pytest.mark.parametrize("spec", ["nosuch:/tmp", "shanghaitech", "", "/some/path?part=A"])
def test_unknown_name_lists_the_known(spec: str) -> None:
    with pytest.raises(ValueError, match=r"mbm.*shanghaitech.*vgg_cells"):
        open_dataset(spec)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("kin=cells", "count, fold, kind, least, not_fold, pictures, seed, size"),
        ("kind=dogs", "one of cells, crowd"),
        ("count=many", "count must be a whole number"),
        ("count=1&count=2", "twice"),
        ("count", "option=value"),
    ],
)
def test_wrong_options(options: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_dataset(f"synthetic:?{options}")


def test_options_are_typed() -> None:
    dataset = open_dataset("synthetic:?kind=crowd&count=6&least=6&pictures=2&size=64&seed=4")
    assert len(dataset) == 2
    assert dataset[1]["image"].shape == (3, 64, 64)
    assert dataset[1]["count"] == 6


def test_home_and_odd_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    trees.shanghaitech(tmp_path / "my data: crowds", [[[1, 1]]])
    assert open_dataset("shanghaitech:~/my data: crowds?part=A")[0]["count"] == 1


def test_index_out_of_range_and_from_the_end() -> None:
    dataset = open_dataset("synthetic:?count=3&pictures=2&size=64")
    assert dataset[-1]["id"] == dataset.ids[1]
    with pytest.raises(IndexError, match="index 2 in a data set of 2"):
        dataset[2]
    assert len(list(dataset)) == 2


def test_every_name_can_be_imported() -> None:
    for name in list_datasets():
        with suppress(ValueError, OSError):  # no such place; but never an ImportError
            assert isinstance(open_dataset(f"{name}:/no/such/place"), CountingDataset)


def test_training_extras_are_not_needed() -> None:
    code = (
        "import sys, fastcount.data; fastcount.data.open_dataset('synthetic:?count=1')[0];"
        "sys.exit(bool({'lightning', 'torchmetrics', 'skimage'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
