"""Operators of counting, on CPU and CUDA; ``fastcount.ops.reference`` has each in plain PyTorch.

Coordinates are pixel indices: the centre of the top-left pixel is (0, 0), x grows right, y down.
"""

from fastcount.ops.adaptive_sigma import adaptive_sigma
from fastcount.ops.density_map import density_map, density_pyramid
from fastcount.ops.find_peaks import PaddedPeaks, Peaks, find_peaks, find_peaks_padded
from fastcount.ops.knn_distance import knn_distance

__all__ = [
    "PaddedPeaks",
    "Peaks",
    "adaptive_sigma",
    "density_map",
    "density_pyramid",
    "find_peaks",
    "find_peaks_padded",
    "knn_distance",
]
