"""The native code of the runtime, see csrc/bindings/numpy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

def cut(
    picture: NDArray[np.uint8],  # (H, W, 3)
    scaled: tuple[int, int],
    corner: tuple[int, int],
    fill: tuple[int, int, int],
    out: NDArray[np.uint8],  # (h, w, 3)
) -> None: ...
def letterbox(
    picture: NDArray[np.uint8],  # (H, W, 3)
    scaled: tuple[int, int],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    fill: tuple[int, int, int],
    out: NDArray[np.float32],  # (3, h, w)
) -> None: ...
def find_peaks(
    scores: NDArray[Any],  # (B, C, H, W)
    kernel_size: int,
    threshold: float,
    smooth: int,
    max_peaks: int | None,
) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.int64], NDArray[np.int64]]: ...
def nms(
    boxes: NDArray[Any],  # (N, 4)
    scores: NDArray[Any],  # (N,)
    labels: NDArray[np.int64] | None,  # (N,)
    iou_threshold: float,
) -> NDArray[np.int64]: ...
def place_core(
    tile: NDArray[np.float32],  # (h, w)
    core: tuple[int, int, int, int],
    map: NDArray[np.float32],  # (H, W)
    corner: tuple[int, int],
) -> tuple[float, float]: ...
