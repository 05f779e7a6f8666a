"""The pictures that explain why a model works or fails.

Every name below is imported on first use, so that ``import aifs_plotting`` loads neither matplotlib nor numpy.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submod_attrs={
        "classification": [
            "compare_boundaries",
            "confusion_matrix",
            "decision_boundary",
            "decision_boundary_evolution",
            "precision_recall_curve",
            "roc_curve",
        ],
        "curves": ["learning_curves", "learning_rate_curve"],
        "features": ["weights_as_images"],
        "playbooks": ["generate_visualizations"],
        "style": ["Provenance", "save_figure"],
    },
)
