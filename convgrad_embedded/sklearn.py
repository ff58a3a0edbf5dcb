"""Networks as estimators of scikit-learn, for its pipelines, searches and cross-validations. It needs scikit-learn >= 1.6.

    from convgrad_embedded.sklearn import NetworkClassifier
    model = make_pipeline(StandardScaler(), NetworkClassifier(epochs=20)).fit(X, y)
    model[-1].network_.export("firmware")

>>> from convgrad_embedded.sklearn import NetworkClassifier
>>> NetworkClassifier(epochs=5).get_params()["epochs"]
5
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Callable, Union

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convgrad_embedded import _arrays
from convgrad_embedded._core import Real
from convgrad_embedded._layers import Dense, Layer, ReLU
from convgrad_embedded._losses import Loss, LossName
from convgrad_embedded._losses import of as loss_of
from convgrad_embedded._network import Network
from convgrad_embedded._operators import softmax_forward
from convgrad_embedded._optimizers import Adam, Optimizer

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import _check_sample_weight, check_is_fitted, column_or_1d, validate_data
except ImportError as error:
    raise ImportError(f"convgrad_embedded.sklearn needs scikit-learn >= 1.6: pip install -U scikit-learn ({error})") from None

_validated: Any = validate_data  # (X, y), or X alone

__all__ = ["NetworkClassifier", "NetworkRegressor"]

Layers = Union[Sequence[Layer], Callable[[int], Sequence[Layer]], None]


class _NetworkEstimator(BaseEstimator):  # type: ignore[misc]
    _default_loss: LossName
    _reads_labels: bool

    def __init__(
        self,
        layers: Layers = None,
        *,
        image_shape: Sequence[int] | None = None,
        loss: LossName | Loss | None = None,
        optimizer: Optimizer | None = None,
        epochs: int = 50,
        batch_size: int = 32,
        random_state: Any = None,
    ) -> None:
        self.layers = layers
        self.image_shape = image_shape
        self.loss = loss
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state

    def _train(self, x: Real, y: Any, outputs: int, sample_weight: Any, options: dict[str, Any]) -> None:
        weight = None if sample_weight is None else _check_sample_weight(sample_weight, x, dtype=np.float32)
        optimizer = Adam() if self.optimizer is None else self.optimizer
        seed = int(check_random_state(self.random_state).randint(2**31))
        network = Network(self._input_shape(x.shape[1]), self._all_layers(outputs), self._chosen_loss(), optimizer, seed)
        if network.output_shape != (outputs,):
            raise ValueError(f"layers: expected a network with the output {(outputs,)}, got {network.output_shape}")
        options = {"verbose": 0, "sample_weight": weight, "epochs": self.epochs, "batch_size": self.batch_size, **options}
        self.history_ = network.fit(x.reshape(len(x), *network.input_shape), y, **options)
        self.network_ = network

    def _chosen_loss(self) -> Loss | None:
        loss = loss_of(self._default_loss if self.loss is None else self.loss)
        if loss is not None and (loss.reads_labels, loss.reads_values) != (self._reads_labels, not self._reads_labels):
            targets = "labels" if self._reads_labels else "numbers"
            raise ValueError(f"loss: expected one of {targets}, such as {self._default_loss!r}, got {self.loss!r}")
        return loss

    def _input_shape(self, features: int) -> tuple[int, ...]:
        if self.image_shape is None:
            return (features,)
        sizes = _arrays.sequence("image_shape", self.image_shape, "(H, W, C) or (T, C)")
        shape = tuple(_arrays.integer("image_shape", size, 1) for size in sizes)
        if math.prod(shape) != features:
            raise ValueError(f"image_shape: expected sizes whose product is {features}, the number of features, got {shape}")
        return shape

    def _all_layers(self, outputs: int) -> Sequence[Layer]:
        if callable(self.layers):
            return self.layers(outputs)
        hidden = [Dense(32), ReLU()] if self.layers is None else self.layers
        return [*_arrays.sequence("layers", hidden, "a list of layers"), Dense(outputs)]

    def _outputs(self, X: ArrayLike) -> Real:
        """(N, outputs)"""
        check_is_fitted(self)
        x = _validated(self, X, dtype=np.float32, reset=False)
        outputs: Real = self.network_.predict(x.reshape(len(x), *self.network_.input_shape))
        return outputs


class NetworkClassifier(ClassifierMixin, _NetworkEstimator):  # type: ignore[misc]
    """A network that tells classes apart, as scikit-learn's classifiers do. X is (N, features), y (N,) of any classes.

    layers: a list, behind which a Dense layer with an output for each class is put, by default [Dense(32), ReLU()]; or a
    function that gives all layers from the number of classes. image_shape: (H, W, C) or (T, C), which each row of X is
    reshaped to. loss: one of labels, "softmax_cross_entropy" by default. optimizer: Adam() by default. random_state: seed of
    the weights and of the order of samples. Numbers are rounded to float32.

    fit makes network_, a Network to export or save, classes_ and history_. Before that predict raises NotFittedError. Wrong
    arguments are told by fit: ValueError or TypeError.

    >>> from convgrad_embedded.sklearn import NetworkClassifier
    >>> (x, y), (x_test, y_test) = cge.datasets.load_digits()
    >>> layers, optimizer = [cge.Conv2d(8, 3), cge.ReLU(), cge.MaxPool2d(2)], cge.SGD(0.05, momentum=0.9)
    >>> model = NetworkClassifier(layers, image_shape=(8, 8, 1), optimizer=optimizer, epochs=5, random_state=0)
    >>> model.fit(x.reshape(-1, 64), y).score(x_test.reshape(-1, 64), y_test) > 0.9
    True
    """

    _default_loss = "softmax_cross_entropy"
    _reads_labels = True

    def fit(self, X: ArrayLike, y: Any, sample_weight: Any = None, **fit_options: Any) -> NetworkClassifier:
        """Trains a new network. fit_options: what Network.fit takes besides, such as callbacks and validation_split."""
        x, labels = _validated(self, X, y, dtype=np.float32)
        check_classification_targets(labels)
        self.classes_, numbers = np.unique(column_or_1d(labels, warn=True), return_inverse=True)
        self._train(x, numbers.astype(np.int32), len(self.classes_), sample_weight, fit_options)
        return self

    def predict_proba(self, X: ArrayLike) -> Real:
        """(N, classes): the softmax of the network's outputs, in the order of classes_."""
        return softmax_forward(self._outputs(X))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """(N,): the class of the largest output."""
        best = self._outputs(X).argmax(1)
        chosen: NDArray[Any] = self.classes_[best]
        return chosen


class NetworkRegressor(RegressorMixin, _NetworkEstimator):  # type: ignore[misc]
    """A network that gives numbers, as scikit-learn's regressors do. X is (N, features), y (N,) or (N, outputs).

    Arguments as NetworkClassifier's; loss is one of numbers, "mean_squared_error" by default. Targets of about -3 to 3 learn
    best: sklearn.compose.TransformedTargetRegressor scales others.

    >>> from convgrad_embedded.sklearn import NetworkRegressor
    >>> x = np.linspace(-1, 1, 100)[:, None]
    >>> NetworkRegressor(optimizer=cge.Adam(0.01), random_state=0).fit(x, x[:, 0] ** 2).score(x, x[:, 0] ** 2) > 0.9
    True
    """

    _default_loss = "mean_squared_error"
    _reads_labels = False

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: Any, sample_weight: Any = None, **fit_options: Any) -> NetworkRegressor:
        """Trains a new network. fit_options: what Network.fit takes besides, such as callbacks and validation_split."""
        x, values = _validated(self, X, y, dtype=np.float32, multi_output=True)
        self._is_column = values.ndim == 1
        targets = np.asarray(values, np.float64).reshape(len(x), -1)
        self._train(x, targets, targets.shape[1], sample_weight, fit_options)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """(N,) or (N, outputs), as y was in fit; float64, as scikit-learn has it."""
        outputs = self._outputs(X).astype(np.float64)
        return outputs[:, 0] if self._is_column else outputs
