"""The perceptron (Rosenblatt, 1958): the first machine that learned by correcting its mistakes."""
