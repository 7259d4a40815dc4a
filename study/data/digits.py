"""digits: the 1,797 handwritten digits that come with scikit-learn, brought to 28 x 28."""

from pathlib import Path
from typing import Literal

import numpy as np

from study.data.source import Source, Split
from study.form import Form
from study.section import Whole


class Digits(Source):
    """8 x 8 images of 17 grey levels, each pixel drawn three wide, framed by two dark pixels.

    The set has no test split of its own: `test_per_class` takes one from it.
    """

    name: Literal["digits"]
    test_per_class: Whole = 70

    @property
    def form(self) -> Form:
        return Form(28, 28, 1, 10)

    def load(self, folder: Path) -> tuple[Split, Split]:
        from sklearn.datasets import load_digits

        bundled = load_digits()
        small = np.minimum(bundled.images * 16, 255).astype(np.uint8)
        large = np.pad(small.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
        whole = Split(large[..., None], bundled.target.astype(np.int64))
        return whole, whole.at(np.arange(0))
