"""AND: 1 where both inputs are."""

from aifs_data.sources._gates import MCCULLOCH_PITTS_1943, gate

SETS = gate("and", (0, 0, 0, 1), remark="A straight line separates the classes.", citation=MCCULLOCH_PITTS_1943)
