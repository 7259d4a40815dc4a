"""imagenet: ILSVRC-2012, 1.28 million photographs that stay on disk."""

from pathlib import Path
from typing import Literal

from study.data.own import locate
from study.data.pictures import Pictures, View
from study.data.source import Source, Split
from study.data.tree import two
from study.form import Form

VIEW = View(short=256, size=224, channels=3, augment=True)
CLASSES = 1000


class Imagenet(Source):
    """Photographs in imagenet/train/<wnid> and imagenet/val/<wnid>, the same 1,000 classes in both.

    Training sees random crops and mirror images, the test the middle of each photograph.
    """

    name: Literal["imagenet"]

    @property
    def form(self) -> Form:
        return Form(VIEW.size, VIEW.size, VIEW.channels, CLASSES)

    def load(self, folder: Path) -> tuple[Split, Split]:
        root = locate(folder, self.name)
        train, val = two(root, ("train", "val"), self.form.classes)
        return (
            Split(Pictures(root, train.names, VIEW), train.labels),
            Split(Pictures(root, val.names, VIEW), val.labels),
        )
