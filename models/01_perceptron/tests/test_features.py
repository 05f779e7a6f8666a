"""Fewer inputs than a data set has."""


def test_hard_irises_are_seen_by_their_sepals_only(trained):
    experiment, _, _ = trained("iris-hard", epochs=1)
    assert experiment.learner.n_features == 2
    assert experiment.data["transforms"] == ["select sepal length (cm), sepal width (cm)"]
    X, _ = next(iter(experiment.test_loader))
    assert X.shape[1] == 2
    assert X.min() > 1, "in centimetres"
