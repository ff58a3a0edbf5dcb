"""What PyTorch says of our losses, in double precision: makes pytorch_losses.json, with which test_more_losses.py compares.

Needs torch, which the tests do not:

    python3 tests/pytorch_losses.py
"""

import json
from pathlib import Path

import torch
from torch.nn import functional as F

SAMPLES, OUTPUTS = 3, 5


def distillation(x, labels, teacher, temperature, alpha):
    hard = F.cross_entropy(x, labels, reduction="none")
    log_q, log_p = (F.log_softmax(logits / temperature, -1) for logits in (x, teacher))
    soft = F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1)
    return alpha * hard + (1 - alpha) * temperature**2 * soft


def case(name, function, scale, settings, **targets):
    x = (scale * torch.randn(SAMPLES, OUTPUTS, dtype=torch.float64)).float().double().requires_grad_()
    losses = function(x, *targets.values(), **settings)
    losses = losses.mean(-1) if losses.ndim == 2 else losses
    losses.sum().backward()
    arrays = {"x": x.detach(), **targets, "loss": losses.detach(), "dx": x.grad}
    return {"name": name, "settings": settings, **{key: value.tolist() for key, value in arrays.items()}}


def main():
    torch.manual_seed(12)
    cases = []
    for scale in (0.5, 3.0, 40.0):
        labels = torch.randint(0, OUTPUTS, (SAMPLES,))
        values = (scale * torch.randn(SAMPLES, OUTPUTS, dtype=torch.float64)).float().double()
        shares = torch.rand(SAMPLES, OUTPUTS, dtype=torch.float64).float().double()
        questions = torch.randint(0, 2, (SAMPLES, OUTPUTS)).double()
        none = {"reduction": "none"}

        def without_mean(function):
            return lambda x, target, **settings: function(x, target, **none, **settings)

        binary = without_mean(F.binary_cross_entropy_with_logits)
        cases += [
            case("binary_cross_entropy", binary, scale, {}, target=shares),
            case("binary_cross_entropy", binary, scale, {}, target=questions),
            case("mean_absolute_error", without_mean(F.l1_loss), scale, {}, target=values),
            case("huber", without_mean(F.huber_loss), scale, {}, target=values),
            case("huber", without_mean(F.huber_loss), scale, {"delta": 0.375}, target=values),
        ]
        for smoothing in (0.0, 0.125, 1.0):
            settings = {"label_smoothing": smoothing}
            cases.append(case("smoothed_cross_entropy", without_mean(F.cross_entropy), scale, settings, labels=labels))
        for temperature, alpha in ((1.0, 0.0), (2.0, 0.25), (0.5, 1.0)):
            settings = {"temperature": temperature, "alpha": alpha}
            cases.append(case("distillation", distillation, scale, settings, labels=labels, teacher=values))
    lines = ",\n".join(json.dumps(each) for each in cases)
    text = f'{{"torch": "{torch.__version__}", "cases": [\n{lines}\n]}}\n'
    (Path(__file__).parent / "pytorch_losses.json").write_text(text)


if __name__ == "__main__":
    main()
