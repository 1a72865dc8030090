"""Real pictures to try an exported model on where the user brings none."""

from __future__ import annotations

from pathlib import Path

from fastcount.export.parity import Picture
from fastcount.pictures import open_picture

# Photographs in scikit-image's wheel: a face, a still life, a crowd of pebbles, an outdoor scene.
_NAMES = ("astronaut.png", "coffee.png", "gravel.png", "rocket.jpg")


def sample_pictures() -> list[Picture]:
    """Photographs that come with scikit-image; nothing is fetched.

    Raises ``ImportError`` without scikit-image.
    """
    try:
        import skimage.data
    except ImportError as error:
        raise ImportError(
            "scikit-image is not installed, whose photographs the exported model is tried on: "
            "pip install scikit-image, or name pictures of your own with --pictures"
        ) from error
    folder = Path(skimage.data.__file__).parent
    return [(name, open_picture(folder / name)) for name in _NAMES]
