"""Operators of counting, on CPU and CUDA; ``fastcount.ops.reference`` has each in plain PyTorch.

Coordinates are pixel indices: the centre of the top-left pixel is (0, 0), x grows right, y down.
"""

from fastcount.ops import reference
from fastcount.ops.adaptive_sigma import adaptive_sigma
from fastcount.ops.cross_label import cross_label
from fastcount.ops.density_map import density_map, density_pyramid
from fastcount.ops.find_peaks import PaddedPeaks, Peaks, find_peaks, find_peaks_padded
from fastcount.ops.focal_loss import focal_loss, heatmap_focal_loss, mask_focal_loss
from fastcount.ops.gaussian_heatmap import gaussian_heatmap
from fastcount.ops.knn_distance import knn_distance
from fastcount.ops.neighbour_distance_map import attention_map, neighbour_distance_map
from fastcount.ops.peak_map import peak_map, top_peaks_mask
from fastcount.ops.small_object_sigma import small_object_sigma
from fastcount.ops.soft_count import soft_count, spatial_softmax
from fastcount.ops.weighted_smooth_l1 import weighted_smooth_l1

__all__ = [
    "PaddedPeaks",
    "Peaks",
    "adaptive_sigma",
    "attention_map",
    "cross_label",
    "density_map",
    "density_pyramid",
    "find_peaks",
    "find_peaks_padded",
    "focal_loss",
    "gaussian_heatmap",
    "heatmap_focal_loss",
    "knn_distance",
    "mask_focal_loss",
    "neighbour_distance_map",
    "peak_map",
    "reference",
    "small_object_sigma",
    "soft_count",
    "spatial_softmax",
    "top_peaks_mask",
    "weighted_smooth_l1",
]
