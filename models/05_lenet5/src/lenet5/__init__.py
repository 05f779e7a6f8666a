"""LeNet-5 (LeCun, Bottou, Bengio, Haffner, 1998): the features are learned, and the same ones are sought everywhere."""
