"""Seeds, logs, run paths, devices and atomic files for training runs.

Every name below is imported on first use, so that ``import aifs_utils`` loads neither numpy nor rich.
"""

# An explicit table: `attach_stub` would parse the .pyi at each start, and importing `ast` alone costs 15 ms.
import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "device": ["setup_device"],
        "exceptions": [
            "AIFromScratchError",
            "CheckpointError",
            "ConfigError",
            "DataError",
            "ModelError",
            "TrainingError",
        ],
        "files": ["atomic_write", "sync_folder", "write_bytes", "write_json", "write_text"],
        "logs": ["close_logging", "setup_logging"],
        "names": ["look_up"],
        "paths": ["RunPaths", "find_runs", "new_run"],
        "seeds": ["get_random_state", "preserve_random_state", "restore_random_state", "set_random_seed"],
    },
)
