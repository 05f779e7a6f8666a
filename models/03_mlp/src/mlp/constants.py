"""Facts about the model that no run changes."""

NAME = "mlp"
YEAR = 1986
AUTHORS = ("David E. Rumelhart", "Geoffrey E. Hinton", "Ronald J. Williams")
PAPER = "Learning representations by back-propagating errors"
IDEA = "Send the error backwards through the chain rule, so that hidden units learn what to represent"
SHINES_ON = "spirals"  # experiments for the table in the root README
FAILS_ON = "shifted-digits"
