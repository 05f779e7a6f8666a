"""The multi-layer perceptron (Rumelhart, Hinton & Williams, 1986): errors travel back, so hidden units learn too."""
