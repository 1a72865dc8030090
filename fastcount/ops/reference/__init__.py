"""Every operator in plain PyTorch: slow and obviously right, with the same names and arguments."""

from fastcount.ops.reference.adaptive_sigma import adaptive_sigma
from fastcount.ops.reference.cross_label import cross_label
from fastcount.ops.reference.density_map import density_map, density_pyramid
from fastcount.ops.reference.find_peaks import find_peaks, find_peaks_padded
from fastcount.ops.reference.focal_loss import focal_loss, heatmap_focal_loss, mask_focal_loss
from fastcount.ops.reference.gaussian_heatmap import gaussian_heatmap
from fastcount.ops.reference.knn_distance import knn_distance
from fastcount.ops.reference.neighbour_distance_map import attention_map, neighbour_distance_map
from fastcount.ops.reference.peak_map import peak_map, top_peaks_mask
from fastcount.ops.reference.small_object_sigma import small_object_sigma
from fastcount.ops.reference.soft_count import soft_count, spatial_softmax
from fastcount.ops.reference.weighted_smooth_l1 import weighted_smooth_l1

__all__ = [
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
    "small_object_sigma",
    "soft_count",
    "spatial_softmax",
    "top_peaks_mask",
    "weighted_smooth_l1",
]
