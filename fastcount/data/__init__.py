"""Pictures with the number of things in them: readers, splits and transforms."""

from fastcount.data.base import CountingDataset, DatasetError
from fastcount.data.registry import list_datasets, open_dataset
from fastcount.data.sample import Annotation, Sample

__all__ = [
    "Annotation",
    "CountingDataset",
    "DatasetError",
    "Sample",
    "list_datasets",
    "open_dataset",
]
