"""What Network.evaluate gives."""

from __future__ import annotations

from typing import Any, NamedTuple


class Evaluation(NamedTuple):
    """What Network.evaluate gives: the mean loss, and the accuracy.

    accuracy is the share of samples whose largest output is at the label; of binary_cross_entropy, the share of outputs on the
    target's side. It is None for other losses. Weights of samples do not count there.

    >>> cge.Network((2,), [cge.Flatten()], "mse").evaluate(np.ones((1, 2)), [[0.0, 1.0]])
    Evaluation(loss=0.5, accuracy=None)
    """

    loss: float
    # Share of samples whose largest output is at the label; of binary_cross_entropy, share of outputs on the target's side.
    # None for other losses. Weights of samples do not count here.
    accuracy: float | None


class OutputsEvaluation(NamedTuple):
    """What Network.evaluate gives of several outputs: the mean loss, and of each output its own loss and accuracy.

    loss is the sum of all outputs' losses, each times its weight. outputs is a tuple; if outputs have names, a dict.

    >>> loss = cge.MultiOutput(["mse", "mae"], sizes=[1, 1], weights=[1.0, 2.0])
    >>> cge.Network((2,), [cge.Flatten()], loss).evaluate(np.ones((1, 2)), [[[0.0]], [[0.0]]])
    OutputsEvaluation(loss=3.0, outputs=(Evaluation(loss=1.0, accuracy=None), Evaluation(loss=1.0, accuracy=None)))
    """

    loss: float
    outputs: Any
