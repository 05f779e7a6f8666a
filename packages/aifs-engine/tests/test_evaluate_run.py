"""Whole runs of a toy model's ``evaluate``, as processes of their own."""


def test_the_evaluate_command_of_the_summary_works_when_copied(train, toy):
    printed = train("line").stdout
    command = next(line for line in printed.splitlines() if "  evaluate" in line).split()
    finished = toy(*command[command.index("evaluate", 1) :], check=0)
    assert "accuracy 1" in finished.stdout
    assert "roc_auc" in finished.stdout
    assert "held: test_accuracy" in finished.stdout


def test_weights_of_another_model_are_refused(train, toy, tmp_path):
    from aifs_engine import save_checkpoint

    save_checkpoint(tmp_path / "other.safetensors", {"learner": {}}, {"model": "other"})
    for command in (["train", "--load-checkpoint"], ["evaluate", "--checkpoint"]):
        finished = toy(command[0], "--experiment", "line", command[1], "other.safetensors", check=1)
        assert "other.safetensors is a checkpoint of other, not of toy" in finished.stderr
