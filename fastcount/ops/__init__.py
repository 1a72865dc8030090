"""Operators of counting, on CPU and CUDA; ``fastcount.ops.reference`` has each in plain PyTorch.

Coordinates are pixel indices: the centre of the top-left pixel is (0, 0), x grows right, y down.
"""

from fastcount.ops.density_map import density_map, density_pyramid

__all__ = ["density_map", "density_pyramid"]
