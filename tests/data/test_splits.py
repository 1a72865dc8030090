from __future__ import annotations

from pathlib import Path

import pytest
import trees
from PIL import Image

from fastcount.data import CountingDataset, find_duplicates, open_dataset, split_by_content


@pytest.fixture
def dataset(tmp_path: Path) -> CountingDataset:
    """40 pictures, of which 20-39 show what 0-19 show, as other files of other formats."""
    rows = ["path,x,y"]
    for number in range(20):
        original = trees.picture(tmp_path / f"{number:02d}.png", (8, 9), seed=number)
        with Image.open(original) as picture:
            picture.save(tmp_path / f"{number + 20:02d}.bmp")
        rows += [f"{number:02d}.png,1,1", f"{number + 20:02d}.bmp,1,1"]
    (tmp_path / "dots.csv").write_text("\n".join(sorted(rows, reverse=True)))
    return open_dataset(f"csv:{tmp_path / 'dots.csv'}")


def sides(dataset: CountingDataset, fraction: float, seed: int) -> tuple[set[str], set[str]]:
    train, validation = split_by_content(dataset, fraction, seed)
    return {dataset.ids[i] for i in train}, {dataset.ids[i] for i in validation}


def test_partition_that_repeats(dataset: CountingDataset) -> None:
    train, validation = split_by_content(dataset, 0.3, 0)
    assert sorted(train + validation) == list(range(40))
    assert (train, validation) == split_by_content(dataset, 0.3, 0)
    assert validation != split_by_content(dataset, 0.3, 1)[1]


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_share_a_side(dataset: CountingDataset, seed: int) -> None:
    train, validation = sides(dataset, 0.3, seed)
    for side in (train, validation):
        for name in side:
            number = int(Path(name).stem)
            twin = f"{number + 20:02d}.bmp" if number < 20 else f"{number - 20:02d}.png"
            assert twin in side


def test_adding_pictures_moves_none(dataset: CountingDataset, tmp_path: Path) -> None:
    before = sides(dataset, 0.3, 0)
    trees.picture(tmp_path / "new.png", (8, 9), seed=99)
    table = tmp_path / "dots.csv"
    table.write_text(table.read_text().replace("path,x,y", "path,x,y\nnew.png,,"))
    after = sides(open_dataset(f"csv:{table}"), 0.3, 0)
    assert before[0] <= after[0]
    assert before[1] <= after[1]


def test_fraction_is_about_kept() -> None:
    dataset = open_dataset("synthetic:?count=0&pictures=400&size=16")
    _, validation = split_by_content(dataset, 0.25, 0)
    assert 75 <= len(validation) <= 125  # three standard deviations


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction_must_be_one(dataset: CountingDataset, fraction: float) -> None:
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        split_by_content(dataset, fraction, 0)


def test_empty_side_is_an_error() -> None:
    dataset = open_dataset("synthetic:?count=0&pictures=2&size=16")
    with pytest.raises(ValueError, match="another seed or fraction"):
        split_by_content(dataset, 1e-6, 0)


def test_find_duplicates(dataset: CountingDataset) -> None:
    within = find_duplicates(dataset, dataset)
    assert {tuple(sorted(pair)) for pair in within} == {
        (f"{number:02d}.png", f"{number + 20:02d}.bmp") for number in range(20)
    }
    assert len(within) == 20
    other = open_dataset("synthetic:?count=0&pictures=2&size=16")
    assert find_duplicates(dataset, other) == []
    again = open_dataset("synthetic:?count=0&pictures=3&size=16")
    assert find_duplicates(other, again) == [(name, name) for name in other.ids]
