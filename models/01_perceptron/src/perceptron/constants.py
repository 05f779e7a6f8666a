"""Facts about the model that no run changes."""

NAME = "perceptron"
YEAR = 1958
AUTHORS = ("Frank Rosenblatt",)
PAPER = "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain"
IDEA = "Learn from mistakes only: turn the line towards each sample that lies on its wrong side"
SHINES_ON = "digits"  # experiments for the table in the root README
FAILS_ON = "xor"
