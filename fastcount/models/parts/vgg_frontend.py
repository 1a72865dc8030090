"""The first ten convolutions of VGG-16 (Simonyan and Zisserman 2015): features of stride 8."""

from __future__ import annotations

from torch import Tensor, nn

# Output channels of each 3x3 convolution, "pool" for a 2x2 maximum: VGG-16 up to conv4_3.
_LAYERS = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)


class VGGFrontEnd(nn.Module):
    """conv1_1 to conv4_3 with their three pools, ReLU after each convolution.

    ``features`` numbers its layers as torchvision's ``vgg16().features`` does, so that weights
    of the one fit the other. ``width`` multiplies every channel count. ``weights="imagenet"``
    fetches torchvision's ImageNet weights; without it nothing is fetched and the convolutions
    start from He's initialisation with zero bias.

    (B, 3, H, W), normalised as ImageNet's pictures are, to (B, ``channels``, ceil(H/8),
    ceil(W/8)): the pools round up, so that a picture of any size is seen to its last column.
    Where H and W are multiples of 8 this is VGG-16 exactly.

    Raises ``ValueError`` for weights of another name, or ImageNet's with ``width != 1``.
    """

    channels: int

    def __init__(self, *, width: float = 1.0, weights: str | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for layer in _LAYERS:
            if isinstance(layer, str):
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
                continue
            following = scaled(layer, width)
            layers += [nn.Conv2d(channels, following, 3, padding=1), nn.ReLU(inplace=True)]
            channels = following
        self.features = nn.Sequential(*layers)
        self.channels = channels
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        if weights is not None:
            self._load(weights, width)

    def _load(self, weights: str, width: float) -> None:
        if weights != "imagenet":
            raise ValueError(
                f"weights: only 'imagenet' can be fetched, got {weights!r}; "
                "a saved model is loaded with fastcount.models.checkpoint.load_model"
            )
        if width != 1.0:
            raise ValueError(f"weights: ImageNet's need width=1, got width={width}")
        # Imported here because nobody else needs torchvision's models.
        from torchvision.models import VGG16_Weights, vgg16

        whole = vgg16(weights=VGG16_Weights.IMAGENET1K_V1).features
        self.features.load_state_dict(whole[: len(self.features)].state_dict())

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.features(x)
        return features


def scaled(channels: int, width: float) -> int:
    """``channels`` times ``width``, rounded, at least 1. Raises ``ValueError`` for width <= 0."""
    if not width > 0:
        raise ValueError(f"width: must be greater than 0, got {width}")
    return max(1, round(channels * width))
