"""convgrad_embedded.sklearn: what scikit-learn asks of estimators, and that they are our networks."""

import pickle
import subprocess
import sys

import numpy as np
import oracles
import pytest
from host import ROOT

sklearn = oracles.need("sklearn")
from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

import convgrad_embedded as cge  # noqa: E402
from convgrad_embedded.sklearn import NetworkClassifier, NetworkRegressor  # noqa: E402

# Checks that no network trained in batches passes, and why.
BATCHES = "batches are others where a sample stands twice than where it weighs 2"
EXPECTED = {
    "check_sample_weight_equivalence_on_dense_data": BATCHES,
}


# Checks of what other packages bring: pandas, and scipy's array API, which a variable of the environment switches on.
OTHER_PACKAGES = {
    *("check_classifier_data_not_an_array", "check_regressor_data_not_an_array", "check_sample_weights_pandas_series"),
    "check_array_api_input",
}
CHECKS = parametrize_with_checks([NetworkClassifier(), NetworkRegressor()], expected_failed_checks=lambda _: EXPECTED).mark


def is_ours(case):
    check = getattr(case, "values", case)[1]  # the estimator, and its check with some arguments
    return getattr(check, "func", check).__name__ not in OTHER_PACKAGES


@pytest.mark.parametrize(CHECKS.args[0], list(filter(is_ours, CHECKS.args[1])), ids=CHECKS.kwargs["ids"])
def test_what_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    (x, y), _ = cge.datasets.load_digits()
    return x[:300].reshape(-1, 64), y[:300]


def conv():
    return [cge.Conv2d(4, 3), cge.ReLU(), cge.MaxPool2d(2)]


def all_layers(outputs):
    return [*conv(), cge.Dense(8), cge.Tanh(), cge.Dense(outputs)]


def test_it_is_the_network_that_a_user_would_write(digits):
    x, y = digits
    weight = np.linspace(0.5, 2, len(x))
    words = np.array([f"class {9 - label}" for label in y])  # in another order
    model = NetworkClassifier(conv(), image_shape=(8, 8, 1), optimizer=cge.SGD(0.05), epochs=2, batch_size=20, random_state=3)
    model.fit(x, words, weight)
    seed = int(np.random.RandomState(3).randint(2**31))
    net = cge.Network((8, 8, 1), [*conv(), cge.Dense(10)], "softmax_cross_entropy", cge.SGD(0.05), seed=seed)
    history = net.fit(x.reshape(-1, 8, 8, 1), 9 - y, epochs=2, batch_size=20, sample_weight=weight, verbose=0)
    assert model.network_.weights_hash() == net.weights_hash() and model.history_ == history
    logits = net.predict(x.reshape(-1, 8, 8, 1))
    assert np.array_equal(model.predict_proba(x), cge.softmax_forward(logits))
    assert np.array_equal(model.predict(x), model.classes_[logits.argmax(1)]) and model.classes_[0] == "class 0"


def test_a_function_gives_all_layers(digits):
    model = NetworkClassifier(all_layers, image_shape=(8, 8, 1), epochs=1).fit(*digits)
    assert list(model.network_.layers) == all_layers(10)


def test_clones_and_pickles_predict_the_same(digits):
    model = NetworkClassifier(conv(), image_shape=(8, 8, 1), epochs=1, random_state=1).fit(*digits)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(digits[0]), model.predict_proba(digits[0]))
    assert clone(model).fit(*digits).network_.weights_hash() == model.network_.weights_hash()


def test_a_search_in_a_pipeline(digits):
    pipeline = make_pipeline(StandardScaler(), NetworkClassifier(epochs=3, random_state=0))
    rates = [cge.SGD(0.0), cge.SGD(0.1, momentum=0.9)]
    search = GridSearchCV(pipeline, {"networkclassifier__optimizer": rates}, cv=2).fit(*digits)
    assert search.best_params_ == {"networkclassifier__optimizer": rates[1]} and search.best_score_ > 0.8


def test_several_numbers_and_arguments_of_fit():
    x = np.random.default_rng(0).normal(size=(60, 3))
    ends = cge.callbacks.Callback()
    ends.on_epoch_end = lambda epoch, logs: epoch == 1
    model = NetworkRegressor(loss="huber", random_state=0).fit(x, x[:, :2] * 2, validation_split=0.5, callbacks=[ends])
    assert model.predict(x).shape == (60, 2) and len(model.history_["val_loss"]) == 2
    assert model.network_.loss == "huber" and model.fit(x, x[:, 0]).predict(x).shape == (60,)


BAD = {
    "product": (NetworkClassifier(image_shape=(4, 4, 2)), ValueError, "image_shape: expected sizes whose product is 64, the"),
    "sizes": (NetworkClassifier(image_shape=8), TypeError, r"image_shape: expected \(H, W, C\) or \(T, C\), got int 8"),
    "outputs": (NetworkClassifier(lambda n: [cge.Dense(3)]), ValueError, r"layers: expected a network with the output \(10,\)"),
    "layers": (NetworkClassifier(3), TypeError, "layers: expected a list of layers, got int 3"),
    "loss of numbers": (NetworkClassifier(loss="mse"), ValueError, "loss: expected one of labels, such as 'softmax_cross"),
    "loss of labels": (NetworkRegressor(loss=cge.SoftmaxCrossEntropy()), ValueError, "loss: expected one of numbers, such"),
    "loss of both": (NetworkClassifier(loss="distillation"), ValueError, "loss: expected one of labels"),
    "epochs": (NetworkClassifier(epochs=0), ValueError, "epochs: expected at least 1, got 0"),
    "optimizer": (NetworkClassifier(optimizer="adam"), TypeError, "optimizer: expected an optimizer such as Adam"),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_arguments_are_told_by_fit(name, digits):
    model, kind, expected = BAD[name]
    with pytest.raises(kind, match=expected):
        model.fit(*digits)
    assert not hasattr(model, "network_")


def test_without_scikit_learn_one_line_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import convgrad_embedded.sklearn"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: convgrad_embedded.sklearn needs scikit-learn >= 1.6: pip install -U scikit-learn")
