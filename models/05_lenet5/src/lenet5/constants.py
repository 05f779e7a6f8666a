"""Facts about the model that no run changes."""

NAME = "lenet5"
YEAR = 1998
AUTHORS = ("Yann LeCun", "Léon Bottou", "Yoshua Bengio", "Patrick Haffner")
PAPER = "Gradient-Based Learning Applied to Document Recognition"
IDEA = "Look for the same small pattern everywhere, and blur where exactly it was: features learned from pixels"
SHINES_ON = "mnist"  # experiments for the table in the root README
FAILS_ON = "colour-digits"
