"""A tree of class folders: what is a class, which files are its images, and in what order."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.data.own import reason, some
from study.errors import DataError

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif"),
    *(".tif", ".tiff", ".webp", ".ppm", ".pgm"),
)


@dataclass(frozen=True)
class Tree:
    """The images of a tree by name, class after class, and the label of each."""

    names: np.ndarray
    labels: np.ndarray


def one(root: Path, classes: int) -> Tree:
    """A tree of that many classes right below `root`."""
    return tree(root, "", _numbered(root, classes))


def two(root: Path, parts: tuple[str, str], classes: int) -> tuple[Tree, Tree]:
    """The trees of the same classes in two folders below `root`."""
    here, _ = listing(root)
    if missing := [part for part in parts if part not in here]:
        raise DataError(
            f"{root}: holds no folder {' and no '.join(missing)}; found: {some(here)}; needed: "
            f"{' and '.join(parts)}, each with a folder for every class"
        )
    first, second = _numbered(root / parts[0], classes), _class_folders(root / parts[1])
    if first != second:
        only = {
            part: sorted(set(own) - set(others))
            for part, own, others in zip(parts, (first, second), (second, first), strict=True)
        }
        told = "; ".join(f"only in {part}: {some(names)}" for part, names in only.items() if names)
        raise DataError(
            f"{root}: {parts[0]} has {len(first):,} classes and {parts[1]} {len(second):,}, not "
            f"the same ones; {told}"
        )
    return tree(root, parts[0], first), tree(root, parts[1], first)


def tree(root: Path, part: str, classes: list[str]) -> Tree:
    """The images of these classes in the folder `part` of `root`, named from `root` on.

    A class's images lie in its folder and below; a name's suffix makes it an image's, and names
    that begin with a dot are passed over. The order is that of the names.
    """
    own = [_images(root, f"{part}/{name}" if part else name) for name in classes]
    if empty := [name for name, images in zip(classes, own, strict=True) if not images]:
        raise DataError(
            f"{root / part}: no image ({' '.join(SUFFIXES)}) in the class folder {some(empty)}"
        )
    labels = np.repeat(np.arange(len(own)), [len(images) for images in own])
    return Tree(np.array([name for images in own for name in images]), labels)


def listing(folder: Path) -> tuple[list[str], int]:
    """The folders in a folder, in order, and how many files; hidden ones are passed over."""
    try:
        with os.scandir(folder) as entries:
            seen = [(e.name, e.is_dir()) for e in entries if not e.name.startswith(".")]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({reason(error)})") from None
    folders = sorted(name for name, is_folder in seen if is_folder)
    return folders, len(seen) - len(folders)


def _numbered(folder: Path, classes: int) -> list[str]:
    found = _class_folders(folder)
    if len(found) != classes:
        raise DataError(
            f"{folder}: found {len(found):,} class folders ({some(found)}); needed: {classes:,}, "
            f"the classes of the grid's data set"
        )
    return found


def _class_folders(folder: Path) -> list[str]:
    found, files = listing(folder)
    if not found:
        raise DataError(
            f"{folder}: found {files:,} files and no class folder; needed: the images sorted into "
            f"a folder for each class"
        )
    return found


def _images(root: Path, class_folder: str) -> list[str]:
    found, left, been = [], [class_folder], set()
    while left:
        folder = left.pop()
        try:
            there = (root / folder).stat()
            if (there.st_dev, there.st_ino) in been:
                raise DataError(
                    f"{root / folder}: links lead to this folder a second time; its images would "
                    f"count twice in {class_folder}"
                )
            been.add((there.st_dev, there.st_ino))
            with os.scandir(root / folder) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    name = f"{folder}/{entry.name}"
                    if entry.is_dir():
                        left.append(name)
                    elif name.lower().endswith(SUFFIXES):
                        found.append(name)
        except OSError as error:
            raise DataError(f"{root / folder}: cannot be read ({reason(error)})") from None
    return sorted(found)
