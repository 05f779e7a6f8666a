"""When there is nothing left to learn."""

from aifs_engine.callbacks import Callback


class Settled(Callback):
    """Stops after a pass without a mistake: the rule would change nothing any more."""

    def on_epoch_end(self, trainer, row):
        """Stop if nothing was corrected."""
        if row["train_corrections"] == 0:
            trainer.stop("a whole pass without a mistake")
