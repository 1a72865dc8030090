"""Operators of counting, on CPU and CUDA; ``fastcount.ops.reference`` has each in plain PyTorch.

Coordinates are pixel indices: the centre of the top-left pixel is (0, 0), x grows right, y down.
"""

from fastcount.ops.adaptive_sigma import adaptive_sigma
from fastcount.ops.density_map import density_map, density_pyramid
from fastcount.ops.find_peaks import PaddedPeaks, Peaks, find_peaks, find_peaks_padded
from fastcount.ops.focal_loss import focal_loss, heatmap_focal_loss, mask_focal_loss
from fastcount.ops.gaussian_heatmap import gaussian_heatmap
from fastcount.ops.knn_distance import knn_distance
from fastcount.ops.small_object_sigma import small_object_sigma
from fastcount.ops.weighted_smooth_l1 import weighted_smooth_l1

__all__ = [
    "PaddedPeaks",
    "Peaks",
    "adaptive_sigma",
    "density_map",
    "density_pyramid",
    "find_peaks",
    "find_peaks_padded",
    "focal_loss",
    "gaussian_heatmap",
    "heatmap_focal_loss",
    "knn_distance",
    "mask_focal_loss",
    "small_object_sigma",
    "weighted_smooth_l1",
]
