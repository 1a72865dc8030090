"""Instance masks, as of BBBC039 (nuclei): a label picture beside every picture.

Caicedo et al., Evaluation of Deep Learning Strategies for Nucleus Segmentation in Fluorescence
Images, Cytometry A 2019; Broad Bioimage Benchmark Collection BBBC039 version 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fastcount.data.base import CountingDataset
from fastcount.data.drawn import read_drawn
from fastcount.data.folder import existing_folder, pictures_in, require_files, stems_of
from fastcount.data.sample import Annotation

LAYOUT = "PATH/images/NAME.* with PATH/masks/NAME.png, 0 being background"
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


class InstanceMasks(CountingDataset):
    """Objects given as regions of a label picture; their centroids are the points.

    ``instances="regions"`` (BBBC039): labels are a few colours, used over and over so that
    touching objects differ; every 8-connected region of one label is an object.
    ``instances="labels"``: every label is one object, in one piece or in several.
    ``min_area``: regions of fewer pixels are specks, not objects, and are left out. BBBC039
    has nuclei of several hundred pixels and specks of 1 to 20; the default is 20. ``masks``:
    folder of the label pictures below ``root``; of a colour picture the first channel is read.
    """

    name: ClassVar[str] = "instance_masks"

    def __init__(
        self,
        root: str | Path,
        *,
        min_area: int = 20,
        instances: Literal["regions", "labels"] = "regions",
        masks: str = "masks",
    ) -> None:
        if min_area < 1:
            raise ValueError(f"min_area must be at least 1 pixel, not {min_area}")
        if instances not in ("regions", "labels"):
            raise ValueError(f"instances must be 'regions' or 'labels', not {instances!r}")
        folder = Path(root)
        self._pictures = pictures_in(folder / "images", name=self.name, layout=LAYOUT)
        mask_folder = existing_folder(folder, (masks,), name=self.name, layout=LAYOUT)
        self._masks = [mask_folder / f"{path.stem}.png" for path in self._pictures]
        require_files(self._masks, name=self.name, what="mask")
        self._min_area = min_area
        self._instances = instances
        self.ids = stems_of(self._pictures, name=self.name)

    def path(self, index: int) -> Path:
        return self._pictures[index]

    def annotation(self, index: int) -> Annotation:
        return Annotation.of_points(centroids(self.objects(index)))

    def objects(self, index: int) -> NDArray[np.int64]:
        """(H, W) numbers from 1 of the objects of picture ``index``, 0 where there is none."""
        mask = read_mask(self._masks[index], self.path(index), name=self.name)
        return instances(mask, by_region=self._instances == "regions", min_area=self._min_area)


def read_mask(file: Path, over: Path, *, name: str) -> NDArray[np.int64]:
    """(H, W) labels of a mask picture; palette indices as they are, of colours the first.

    ``over`` and errors: see :func:`~fastcount.data.drawn.read_drawn`.
    """
    mask = read_drawn(file, over, name=name)
    if mask.ndim == 3:
        mask = mask[..., 0]
    return mask.astype(np.int64)


def instances(mask: NDArray[np.int64], *, by_region: bool, min_area: int = 1) -> NDArray[np.int64]:
    """(H, W) numbers from 1 of the objects of a label picture (H, W), 0 elsewhere.

    ``by_region``: an object is an 8-connected region of one label, else all pixels of one label.
    Objects of fewer than ``min_area`` pixels are left out. Order: by label, then row by row.
    """
    values, inverse = np.unique(mask, return_inverse=True)
    objects = inverse.reshape(mask.shape)
    if by_region:
        objects = np.zeros(mask.shape, dtype=np.int64)
        for value in values[values != 0]:
            regions, _ = ndimage.label(mask == value, structure=EIGHT_NEIGHBOURS)
            objects = np.where(regions > 0, regions + objects.max(), objects)
    else:
        objects = np.where(mask == 0, 0, objects + 1)
    kept = np.bincount(objects.ravel()) >= min_area
    kept[0] = False
    numbers: NDArray[np.int64] = np.where(kept, np.cumsum(kept), 0)[objects]
    return numbers


def centroids(objects: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, 2) x, y of the middles of objects numbered from 1 (H, W), in pixel indices."""
    flat = objects.ravel()
    rows, columns = np.indices(objects.shape)
    area = np.bincount(flat)
    x = np.bincount(flat, weights=columns.ravel())[1:] / area[1:]
    y = np.bincount(flat, weights=rows.ravel())[1:] / area[1:]
    return np.stack([x, y], axis=1).astype(np.float32)
