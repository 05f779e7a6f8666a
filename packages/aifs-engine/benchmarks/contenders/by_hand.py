"""Loops that a person would write, each with the mean loss of every epoch."""

import torch


def by_hand(task, epochs):
    """The best one: batches gathered by index."""
    _loop(task, epochs, task.optimizer(), task.loader().batches)


def with_our_optimizer(task, epochs):
    from aifs_engine.torch_optimizers import SGD

    _loop(task, epochs, task.optimizer(SGD), task.loader().batches)


def with_data_loader(task, epochs):
    """The usual one."""
    loader = task.data_loader()
    _loop(task, epochs, task.optimizer(), lambda epoch: loader)


def _loop(task, epochs, optimizer, batches):
    model, criterion, history = task.model, task.criterion, []
    for epoch in range(epochs):
        total = 0.0
        for X, y in batches(epoch):
            optimizer.zero_grad()
            loss = criterion(model(X), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(X)
        history.append(total / len(task.X))


def evaluate(task):
    """The usual evaluation; the mean loss."""
    total = 0.0
    task.model.eval()
    with torch.no_grad():
        for X, y in task.data_loader():
            total += task.criterion(task.model(X), y).item() * len(X)
    task.model.train()
    return total / len(task.X)
