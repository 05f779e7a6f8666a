"""XOR: 1 where exactly one input is."""

from aifs_data.sources._gates import MINSKY_PAPERT_1969, gate

SETS = gate(
    "xor",
    (0, 1, 1, 0),
    remark="No straight line separates the classes: the best is right at three of the four corners.",
    citation=MINSKY_PAPERT_1969,
)
