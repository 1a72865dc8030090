"""Small made-up data sets in the true layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.io
from numpy.typing import ArrayLike
from PIL import Image


def picture(
    path: Path, size: tuple[int, int] = (24, 32), *, mode: str = "RGB", seed: int = 0
) -> Path:
    """A picture of noise, (H, W), at ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def object_array(*items: object) -> np.ndarray:
    """A MATLAB cell row."""
    cells = np.empty((1, len(items)), dtype=object)
    for index, item in enumerate(items):
        cells[0, index] = item
    return cells


def shanghaitech(
    root: Path,
    dots: Sequence[ArrayLike],
    *,
    part: str = "A",
    split: str = "train",
    mode: str = "RGB",
) -> Path:
    """IMG_1, IMG_2, ... with the given dots (1-based, as MATLAB has them)."""
    folder = root / f"part_{part}" / f"{split}_data"
    (folder / "ground_truth").mkdir(parents=True, exist_ok=True)
    for number, some in enumerate(dots, start=1):
        picture(folder / "images" / f"IMG_{number}.jpg", mode=mode, seed=number)
        location = np.asarray(some, dtype=float).reshape(-1, 2)
        info = object_array({"location": location, "number": len(location)})
        scipy.io.savemat(folder / "ground_truth" / f"GT_IMG_{number}.mat", {"image_info": info})
    return root


def ucf_qnrf(root: Path, dots: Sequence[ArrayLike], *, split: str = "Train") -> Path:
    for number, some in enumerate(dots, start=1):
        picture(root / split / f"img_{number:04d}.jpg", seed=number)
        points = np.asarray(some, dtype=float).reshape(-1, 2)
        scipy.io.savemat(root / split / f"img_{number:04d}_ann.mat", {"annPoints": points})
    return root


def mall(root: Path, dots: Sequence[ArrayLike]) -> Path:
    frames, counts = [], []
    for number, some in enumerate(dots, start=1):
        picture(root / "frames" / f"seq_{number:06d}.jpg", (6, 8), seed=number)
        location = np.asarray(some, dtype=float).reshape(-1, 2)
        frames.append({"loc": location})
        counts.append([len(location)])
    scipy.io.savemat(
        root / "mall_gt.mat", {"frame": object_array(*frames), "count": np.array(counts)}
    )
    return root


def dot_picture(
    path: Path, dots: Sequence[tuple[int, int]], size: tuple[int, int], mode: str
) -> None:
    """A picture of dots: red in RGB, white in mode 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((*size, 3), dtype=np.uint8)
    for x, y in dots:
        pixels[y, x] = (255, 0, 0) if mode == "RGB" else (255, 255, 255)
    Image.fromarray(pixels).convert(mode).save(path)
