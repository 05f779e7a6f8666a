"""Nuclei of cells under the microscope, each with a mask of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from aifs_data.arrays import Ragged
from aifs_data.dataset import ArraySpec, Dataset, DatasetInfo, Source, Split
from aifs_data.downloads import ArrayFacts, Download, RemoteFile
from aifs_data.splits import split_indices, take_in_order
from aifs_data.streams import random_stream
from aifs_utils import DataError

if TYPE_CHECKING:  # it takes milliseconds to import
    from pathlib import Path

    from numpy.typing import NDArray

    from aifs_data.downloads import Blocks

    Arrays = Mapping[str, NDArray[Any]]

_SIDE = 256
_N_IMAGES, _N_NUCLEI, _MOST = 334, 9543, 101
_LARGEST_PNG = 1 << 20  # bytes; the largest one has 54,287
_MEMBER = re.compile(r"([0-9a-f]{64})/(images|masks)/[^/]+\.png")
_STANDIN_IMAGES = 40

INFO = DatasetInfo(
    name="nuclei",
    title="Nuclei of cells, with instance masks",
    task="segmentation",
    class_names=("background", "nucleus"),
    arrays={
        "X": ArraySpec(dtype="uint8", shape=("n_samples", 3, _SIDE, _SIDE), low=0, high=255, meaning="pixels, RGB"),
        "y": ArraySpec(dtype="uint8", shape=("n_samples", _SIDE, _SIDE), low=0, high=1, meaning="1 within a nucleus"),
        "instances": ArraySpec(
            dtype="uint16",
            shape=("n_samples", _SIDE, _SIDE),
            low=0,
            high=_MOST,
            meaning="k within the k-th nucleus, 0 outside of all",
        ),
        "boxes": ArraySpec(
            dtype="float32",
            shape=("n_samples", "length", 4),
            low=0,
            high=_SIDE,
            meaning="x0, y0, x1, y1 of each nucleus in pixels, x1 and y1 just outside",
        ),
    },
    licence="CC0 1.0",
    citation="""\
@article{caicedo2019nucleus,
  author  = {Caicedo, Juan C. and Goodman, Allen and Karhohs, Kyle W. and others},
  title   = {Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl},
  journal = {Nature Methods},
  volume  = {16},
  pages   = {1247--1253},
  year    = {2019},
  doi     = {10.1038/s41592-019-0612-7}
}""",
    homepage="https://bbbc.broadinstitute.org/BBBC038",
    description="334 images of 256 × 256 pixels from the training part of the 2018 Data Science Bowl (BBBC038v1), with "
    "the masks of 9,543 nuclei, split 60 : 20 : 20 by seed. All are grey, in three equal channels. In the five pixels "
    "where two masks overlap, the later one holds.",
)


def decode(files: Mapping[str, Path]) -> Blocks:
    """Read the images and masks one image after another."""
    path = files["dsb2018_stage1_train_256.zip"]
    counts = [0]
    for image, masks in _samples(path):
        instances, boxes = _labelled(masks)
        counts.append(len(boxes))
        yield "X", image[np.newaxis]
        yield "y", (instances > 0).astype(np.uint8)[np.newaxis]
        yield "instances", instances[np.newaxis]
        yield "boxes_values", boxes
    yield "boxes_offsets", np.cumsum(counts, dtype=np.int64)


def _samples(path: Path) -> Iterator[tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]]:
    """Yield each image, (3, 256, 256), with its masks."""
    from aifs_data.unpack import zip_members

    members = zip_members(path, limit=_LARGEST_PNG, wanted=lambda name: _MEMBER.fullmatch(name) is not None)
    for _, group in groupby(_ascending(path, members), key=lambda member: member[0].partition("/")[0]):
        # images/ sorts before masks/, and masks are numbered as their names are sorted.
        (first, content), *others = group
        if "/images/" not in first or any("/masks/" not in name for name, _ in others):
            raise DataError(f"{path} must hold one image and its masks in each folder, got others beside {first}")
        yield (
            _pixels(path, first, content, "RGB").transpose(2, 0, 1),
            [_pixels(path, name, mask, "L") > 0 for name, mask in others],
        )


def _ascending(path: Path, members: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    last = ""
    for name, content in members:
        if name <= last:
            raise DataError(f"{path} must hold its members in the order of their names, got {name} after {last}")
        last = name
        yield name, content


def _pixels(path: Path, name: str, content: bytes, mode: str) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.size != (_SIDE, _SIDE):
                raise DataError(f"expected {_SIDE} × {_SIDE} pixels, got {image.size}")
            return np.asarray(image.convert(mode))
    # What pillow raises over a damaged image, SyntaxError included.
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DataError(f"{name} in {path} is damaged ({error}): delete the file to get another copy") from error


def _labelled(masks: list[NDArray[np.bool_]]) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Return the number of the mask that each pixel belongs to, and the box around each mask."""
    instances = np.zeros((_SIDE, _SIDE), dtype=np.uint16)
    boxes = np.empty((len(masks), 4), dtype=np.float32)
    for k, mask in enumerate(masks):
        instances[mask] = k + 1
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows) == 0:
            raise DataError(f"expected nuclei of one pixel at least, got mask {k + 1} empty")
        boxes[k] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return instances, boxes


DOWNLOAD = Download(
    files=(
        RemoteFile(
            path="dsb2018-nuclei/dsb2018_stage1_train_256.zip",
            size=17239183,
            sha256="c8c23d0c9791b9c59cb3afc8977fd4f49ff8a98c5125eea3c6eb05867a10ad9e",
        ),
    ),
    decode=decode,
    arrays={
        "X": ArrayFacts(
            dtype="uint8",
            shape=(_N_IMAGES, 3, _SIDE, _SIDE),
            low=0,
            high=255,
            digest="68669b0343da548e422f93924efd7b13",
        ),
        "y": ArrayFacts(
            dtype="uint8",
            shape=(_N_IMAGES, _SIDE, _SIDE),
            low=0,
            high=1,
            digest="3db9398c8abc33bb9330d397783dd0e2",
        ),
        "instances": ArrayFacts(
            dtype="uint16",
            shape=(_N_IMAGES, _SIDE, _SIDE),
            low=0,
            high=_MOST,
            digest="fe259d571178d63ed1cd4de1907fd395",
        ),
        "boxes_values": ArrayFacts(
            dtype="float32",
            shape=(_N_NUCLEI, 4),
            low=0,
            high=_SIDE,
            digest="da50f01c0f9fdbb80f4a907c981d5472",
        ),
        "boxes_offsets": ArrayFacts(
            dtype="int64",
            shape=(_N_IMAGES + 1,),
            low=0,
            high=_N_NUCLEI,
            digest="81954c0aa0260a0f124a04c87105b887",
        ),
    },
    remark="This file has no public address: it needs a mirror. It is a zip of the 334 images of 256 × 256 pixels out "
    "of BBBC038v1's stage1_train.zip, laid out as there, <id>/images/<id>.png and <id>/masks/*.png, by name",
)


def load(arrays: Arrays, seed: int) -> Dataset:
    """Split the images 60 : 20 : 20."""
    return _split(INFO, arrays, seed)


def standin(seed: int) -> Dataset:
    """Draw bright ellipses with soft edges on a dark, noisy ground."""
    from aifs_data.sources.shapes import INFO as shapes

    rng = random_stream(seed, "nuclei standin")
    samples = [_draw(rng) for _ in range(_STANDIN_IMAGES)]
    instances, boxes = zip(*(_labelled(masks) for _, masks in samples), strict=True)
    ragged = Ragged.of(boxes, dtype=np.float32)
    info = replace(
        INFO,
        title=f"{INFO.title}: a stand-in of ellipses",
        licence=shapes.licence,
        citation=shapes.citation,
        homepage=shapes.homepage,
        description=f"{_STANDIN_IMAGES} images of bright ellipses on a dark, noisy ground, split 60 : 20 : 20. "
        "Nothing in them is of real nuclei; masks and boxes are of what is visible, as in COCO.",
    )
    arrays = {
        "X": np.stack([image for image, _ in samples]),
        "y": (np.stack(instances) > 0).astype(np.uint8),
        "instances": np.stack(instances),
        "boxes_values": ragged.values,
        "boxes_offsets": ragged.offsets,
    }
    dataset = _split(info, arrays, seed)
    return replace(dataset, source="standin", standin="generated ellipses")


def _draw(rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
    """Return an image and the masks of its ellipses, of which none overlap."""
    x = np.arange(_SIDE, dtype=np.int64)
    y = x[:, np.newaxis]
    image = rng.integers(8, 24, (_SIDE, _SIDE))
    taken = np.zeros((_SIDE, _SIDE), dtype=bool)
    masks = []
    for _ in range(rng.integers(10, 40)):
        centre_x, centre_y = rng.integers(0, _SIDE, 2)
        a, b = rng.integers(6, 16, 2)
        # A slanted ellipse: its matrix is a sheared circle, so that there is no need of an angle, and of sines.
        slant = rng.integers(-8, 9)
        across = 16 * (x - centre_x) + slant * (y - centre_y)
        square = (b * across) ** 2 + (16 * a * (y - centre_y)) ** 2
        mask = square <= (16 * a * b) ** 2
        brightness = rng.integers(80, 200)
        if (taken & mask).any():
            continue
        taken |= mask
        image[mask] += (brightness * ((16 * a * b) ** 2 * 2 - square[mask])) // ((16 * a * b) ** 2 * 2)
        masks.append(mask)
    return np.repeat(image.astype(np.uint8)[np.newaxis], 3, axis=0), masks


def _split(info: DatasetInfo, arrays: Arrays, seed: int) -> Dataset:
    boxes = Ragged(arrays["boxes_values"], arrays["boxes_offsets"])
    whole = Split(arrays["X"], arrays["y"], {"instances": arrays["instances"], "boxes": boxes})
    indices = split_indices(np.arange(len(whole)), seed=seed, stratify=False)
    train, val, test = (take_in_order(whole, rows) for rows in indices)
    return Dataset(info, train, val, test, source="", seed=seed)


SETS = {INFO.name: Source(INFO, load, download=DOWNLOAD, standin=standin)}
