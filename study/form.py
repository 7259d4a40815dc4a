"""The form of a data set: all that a net must know of it, and known without the data."""

from typing import NamedTuple


class Form(NamedTuple):
    """Height, width and channels of an image, and the number of classes."""

    height: int
    width: int
    channels: int
    classes: int

    @property
    def image(self) -> tuple[int, int, int]:
        """The shape of one stored image."""
        return self[:3]
