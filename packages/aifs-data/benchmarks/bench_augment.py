"""Time an epoch of crop and flip, in shuffled batches of 64 images of 3 × 32 × 32, beside a loop over the samples.

python packages/aifs-data/benchmarks/bench_augment.py
"""

import statistics
import time

import numpy as np

from aifs_data.augment import HorizontalFlip, RandomCrop
from aifs_data.loaders import ArrayLoader
from aifs_data.streams import random_stream

N_SAMPLES, BATCH_SIZE, PADDING, ROUNDS = 50_000, 64, 4, 5

images = np.random.default_rng(0).integers(0, 256, (N_SAMPLES, 3, 32, 32)).astype(np.uint8)
y = np.arange(N_SAMPLES) % 10
TRANSFORMS = [RandomCrop(PADDING), HorizontalFlip()]


def augmented(image, rng):
    """Pad, cut, flip: one sample."""
    channels, height, width = image.shape
    padded = np.zeros((channels, height + 2 * PADDING, width + 2 * PADDING), image.dtype)
    padded[:, PADDING:-PADDING, PADDING:-PADDING] = image
    down, across = rng.integers(0, 2 * PADDING + 1, 2)
    window = padded[:, down : down + height, across : across + width]
    return window[:, :, ::-1] if rng.random() < 0.5 else window


def loop_with_one_generator():
    """What is often written; it cannot resume in the middle of an epoch."""
    rng = np.random.default_rng(0)
    order = rng.permutation(N_SAMPLES)
    for i in range(0, N_SAMPLES, BATCH_SIZE):
        batch = images.take(order[i : i + BATCH_SIZE], axis=0)
        out = np.empty_like(batch)
        for k, image in enumerate(batch):
            out[k] = augmented(image, rng)


def loop_with_a_generator_per_sample():
    """What does the same as the loader: a sample's numbers depend on seed, epoch and its index."""
    order = np.random.default_rng(0).permutation(N_SAMPLES)
    for i in range(0, N_SAMPLES, BATCH_SIZE):
        rows = order[i : i + BATCH_SIZE]
        out = np.empty((len(rows), *images.shape[1:]), images.dtype)
        for k, row in enumerate(rows.tolist()):
            out[k] = augmented(images[row], random_stream(0, "transform", 1, row))


def loader_of(batch_size, **options):
    """Return a function that goes through an epoch of a loader."""
    loader = ArrayLoader(images, y, batch_size, shuffle=True, **options)

    def way():
        for _ in loader.batches(1):
            pass

    return way


def main():
    """Interleave the ways, so that a busy machine slows them alike, and print the median time of each."""
    ways = {
        "loop, one generator": loop_with_one_generator,
        "loop, generator per sample": loop_with_a_generator_per_sample,
        "loader": loader_of(BATCH_SIZE, transform=TRANSFORMS),
        "loader, batches of 1": loader_of(1, transform=TRANSFORMS),
        "loader, batches of 16": loader_of(16, transform=TRANSFORMS),
        "loader, batches of 512": loader_of(512, transform=TRANSFORMS),
        "loader, no transform": loader_of(BATCH_SIZE),
    }
    times = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["loop, one generator"]
    for name, median in medians.items():
        print(f"{name:<28}{median / N_SAMPLES * 1e6:8.2f} µs a sample{base / median:8.1f} times as fast as the loop")


if __name__ == "__main__":
    main()
