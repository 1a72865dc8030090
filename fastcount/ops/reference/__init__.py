"""Every operator in plain PyTorch: slow and obviously right, with the same names and arguments."""

from fastcount.ops.reference.adaptive_sigma import adaptive_sigma
from fastcount.ops.reference.density_map import density_map, density_pyramid
from fastcount.ops.reference.find_peaks import find_peaks, find_peaks_padded
from fastcount.ops.reference.focal_loss import focal_loss, heatmap_focal_loss, mask_focal_loss
from fastcount.ops.reference.gaussian_heatmap import gaussian_heatmap
from fastcount.ops.reference.knn_distance import knn_distance
from fastcount.ops.reference.small_object_sigma import small_object_sigma
from fastcount.ops.reference.weighted_smooth_l1 import weighted_smooth_l1

__all__ = [
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
