"""OR: 1 where at least one input is."""

from aifs_data.sources._gates import MCCULLOCH_PITTS_1943, gate

SETS = gate("or", (0, 1, 1, 1), remark="A straight line separates the classes.", citation=MCCULLOCH_PITTS_1943)
