"""Which pictures a run trains on, and which it only looks at to choose a checkpoint."""

from __future__ import annotations

from typing import Any

import lightning
from torch.utils.data import DataLoader, Subset

from fastcount.data import open_dataset
from fastcount.data.base import CountingDataset
from fastcount.data.split import content_hash, content_hashes, split_by_content
from fastcount.models.neighbour_sigma import NeighbourSigma
from fastcount.runtime.tiling import Tiling
from fastcount.training.config import Config
from fastcount.training.crops import Crops, CropSampler, collate
from fastcount.training.fingerprint import Fingerprint, fingerprint, truth_hash
from fastcount.training.mixture import TrainingPictures
from fastcount.training.whole_pictures import WholePictures


class PicturesModule(lightning.LightningDataModule):
    """Training crops and whole validation pictures of a :class:`Config`.

    A model whose ``tiling`` takes pictures whole is trained on whole ones instead of crops.
    Pictures whose content also occurs in a ``holdout`` set are used for neither; ``dropped``
    lists them. Copies of validation pictures in a part that is not validated are not trained on;
    ``copies`` lists them. ``fingerprints``: of the rest, one a part. ``kernels``: how wide the
    points' kernels are, None for the model's own width.
    """

    def __init__(
        self, config: Config, tiling: Tiling, kernels: NeighbourSigma | None = None
    ) -> None:
        super().__init__()
        # Of fewer validation pictures than processes some have none.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.config, self.tiling = config, tiling
        self.dropped: list[str] = []
        self.copies: list[str] = []
        held_out = {
            digest for spec in config.holdout for digest in content_hashes(open_dataset(spec))
        }
        self.parts: list[TrainingPictures] = []
        self.fingerprints: list[Fingerprint] = []
        self.validation: dict[str, Subset[Any]] = {}
        drawn = []
        for part in config.train:
            dataset = open_dataset(part.dataset)
            # A picture's truth right after its content: what is rendered is so once.
            contents = [_content(dataset, i, held_out) for i in range(len(dataset))]
            hashes = [digest for digest, _ in contents]
            bad = {i for i, digest in enumerate(hashes) if digest in held_out}
            self.dropped += [f"{part.dataset}: {dataset.ids[i]}" for i in sorted(bad)]
            train, validation = list(range(len(dataset))), list[int]()
            if part.validate:
                try:
                    train, validation = split_by_content(
                        dataset, config.validation, config.validation_seed, hashes=hashes
                    )
                except ValueError as error:
                    raise ValueError(
                        f"validation, validation_seed: {part.dataset}: {error}; or give the data "
                        "set validate: false"
                    ) from None
            train = [i for i in train if i not in bad]
            validation = [i for i in validation if i not in bad]
            if not train:
                raise ValueError(
                    f"holdout: holds every picture of {part.dataset} that there was to "
                    "train on; leave it out of train, or what holds its pictures out of holdout"
                )
            drawn.append((part, dataset, contents, train, validation))
        watched = {contents[i][0] for _, _, contents, _, side in drawn for i in side}
        for part, dataset, contents, drawn_train, validation in drawn:
            train = [i for i in drawn_train if contents[i][0] not in watched]
            gone = sorted(set(drawn_train) - set(train))
            self.copies += [f"{part.dataset}: {dataset.ids[i]}" for i in gone]
            if not train:
                raise ValueError(
                    f"train: every picture of {part.dataset} is a validation picture of another "
                    "data set; leave one of the two out"
                )
            self.parts.append(TrainingPictures(dataset, train, part, kernels))
            sides = ([contents[i] for i in side] for side in (train, validation))
            self.fingerprints.append(fingerprint(part.dataset, dataset.classes, *sides))
            if validation:
                self.validation[_short_name(part.dataset, set(self.validation))] = Subset(
                    dataset,
                    validation,
                )

    def train_dataloader(self) -> DataLoader[Any]:
        config = self.config
        sampler = CropSampler(
            config.validate_every,
            config.batch_size,
            done=lambda: self.trainer.global_step if self.trainer else 0,
            rank=self.trainer.global_rank if self.trainer else 0,
            world=self.trainer.world_size if self.trainer else 1,
        )
        dataset: Crops | WholePictures
        if self.tiling.mode == "resize":
            dataset = WholePictures(self.parts, self.tiling, config.augment, config.seed)
        else:
            dataset = Crops(
                self.parts, config.crop, config.augment, config.seed, fill=self.tiling.fill
            )
        return DataLoader(
            dataset,
            batch_size=config.batch_size,
            sampler=sampler,
            num_workers=config.workers,
            persistent_workers=config.workers > 0,
            pin_memory=self.trainer is not None and self.trainer.accelerator.name() == "cuda",
            collate_fn=collate,
        )

    def val_dataloader(self) -> list[DataLoader[Any]]:
        # Each picture in one process alone; a distributed sampler would count some twice.
        rank = self.trainer.global_rank if self.trainer else 0
        world = self.trainer.world_size if self.trainer else 1
        return [
            DataLoader(
                subset,
                batch_size=1,
                collate_fn=_alone,
                sampler=range(rank, len(subset), world),
            )
            for subset in self.validation.values()
        ]


def _alone(samples: list[Any]) -> Any:
    """Validation takes pictures one at a time and whole, whatever their size."""
    return samples[0]


def _content(dataset: CountingDataset, index: int, held_out: set[str]) -> tuple[str, str]:
    """The hashes of a picture and of its truth; of one that is held out, the truth is not read."""
    content = content_hash(dataset, index)
    return content, "" if content in held_out else truth_hash(dataset, index)


def _short_name(spec: str, taken: set[str]) -> str:
    """``shanghaitech:/data/x?part=A&split=train`` as ``shanghaitech-A-train``."""
    name, _, rest = spec.partition(":")
    values = [pair.partition("=")[2] for pair in rest.partition("?")[2].split("&") if pair]
    short = "-".join([name, *values])
    number = 2
    while short in taken:
        short, number = f"{'-'.join([name, *values])}-{number}", number + 1
    return short
