"""Facts about the model that no run changes."""

NAME = "adaline"
YEAR = 1960
AUTHORS = ("Bernard Widrow", "Marcian E. Hoff")
PAPER = "Adaptive Switching Circuits"
IDEA = "Learn from the size of the error, not from its sign: the first gradient descent of the field"
SHINES_ON = "rules-compared"  # experiments for the table in the root README
FAILS_ON = "outliers"
