"""The metrics as functions of one set of tensors; they need no torchmetrics."""

from fastcount.metrics.functional.counts import (
    class_count_error,
    count_agreement,
    count_error,
    std_coverage,
)
from fastcount.metrics.functional.grids import (
    game,
    grid_counts_of_density,
    grid_counts_of_points,
    grid_error,
)
from fastcount.metrics.functional.points import average_precision, match_points, point_pr

__all__ = [
    "average_precision",
    "class_count_error",
    "count_agreement",
    "count_error",
    "game",
    "grid_counts_of_density",
    "grid_counts_of_points",
    "grid_error",
    "match_points",
    "point_pr",
    "std_coverage",
]
