"""Data sets by name, seeded splits, and loaders whose order is a pure function of seed and epoch.

Every name below is imported on first use, so that ``import aifs_data`` does not load NumPy.
"""

# An explicit table: `attach_stub` would parse the .pyi at each start, and importing `ast` alone costs 15 ms.
import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "dataset": ["Dataset", "DatasetInfo", "Source", "Split"],
        "loaders": ["ArrayLoader", "DataLoaders", "create_data_loaders"],
        "registry": ["describe", "list_datasets", "load_dataset"],
        "splits": ["split_dataset", "split_indices"],
        "transforms": ["Standardizer", "standardize"],
    },
)
