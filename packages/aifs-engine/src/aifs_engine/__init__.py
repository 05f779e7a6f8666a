"""One training loop for your own learning rule that resumes to the bit.

Each module is imported when one of its names is first used; ``import aifs_engine`` alone loads no array library.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "callbacks": ["BestSoFar", "Callback", "Checkpointing", "EarlyStopping", "Snapshots"],
        "checkpoint": ["Checkpoint", "CheckpointFolder", "load_checkpoint", "save_checkpoint"],
        "cli": ["evaluate_command", "train_command"],
        "evaluator": ["Evaluator", "Predictions"],
        "experiment": [
            "Claim",
            "Experiment",
            "RunResult",
            "require_choice",
            "require_positive",
            "require_positive_int",
        ],
        "foreign_weights": ["load_foreign_weights"],
        "history": ["History"],
        "interrupts": ["Interrupted"],
        "learner": ["Learner", "Loader", "NonFiniteError", "require_finite"],
        "progress": ["ProgressBar", "ProgressLines"],
        "tracking": ["LocalTracker", "Tracker", "Tracking"],
        "trainer": ["Trainer"],
    },
)
