"""Pictures with the number of things in them: readers, splits and transforms."""

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.pixel_points import PixelPoints
from fastcount.data.registry import list_datasets, open_dataset
from fastcount.data.sample import Annotation, Sample
from fastcount.data.split import find_duplicates, split_by_content
from fastcount.data.transforms import KeepInside

__all__ = [
    "Annotation",
    "CountingDataset",
    "DatasetError",
    "KeepInside",
    "PixelPoints",
    "Sample",
    "find_duplicates",
    "list_datasets",
    "open_dataset",
    "split_by_content",
]
