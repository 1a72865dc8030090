"""Every operator in plain PyTorch: slow and obviously right, with the same names and arguments."""

from fastcount.ops.reference.adaptive_sigma import adaptive_sigma
from fastcount.ops.reference.find_peaks import find_peaks, find_peaks_padded
from fastcount.ops.reference.knn_distance import knn_distance

__all__ = ["adaptive_sigma", "find_peaks", "find_peaks_padded", "knn_distance"]
