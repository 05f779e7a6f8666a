"""Data sets by name, fetched and verified, split by a seed, and loaded in an order that is a pure function.

Every name below is imported on first use, so that ``import aifs_data`` does not load NumPy.
"""

# An explicit table: `attach_stub` would parse the .pyi at each start, and importing `ast` alone costs 15 ms.
import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "_loader": ["Loader"],
        "array_loader": ["ArrayLoader"],
        "arrays": ["Ragged"],
        "augment": ["CutOut", "GaussianNoise", "HorizontalFlip", "RandomCrop", "RandomRotation", "RandomShift"],
        "dataset": ["ArraySpec", "Dataset", "DatasetInfo", "Graph", "Source", "Split"],
        "decoded_loader": ["DecodedLoader"],
        "downloads": ["Unavailable", "WrongBytes"],
        "draws": ["Draws"],
        "fresh_loader": ["FreshLoader"],
        "loaders": ["DataLoaders", "create_data_loaders"],
        "registry": ["describe", "list_datasets", "load_dataset"],
        "sequence_loaders": ["RaggedLoader", "WindowLoader"],
        "splits": ["split_dataset", "split_groups", "split_indices"],
        "transforms": ["Normalize", "Standardizer", "standardize"],
        "vocabulary": ["Vocabulary"],
    },
)
