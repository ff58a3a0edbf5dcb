"""Makes tests/data/torch_optimizers.json: what PyTorch's optimizers and schedulers give.

    pip install torch==2.13.0
    python3 tests/torch_optimizers.py

Settings are those that binary32 holds, since the core's are.
"""

import json
import struct
from pathlib import Path

import torch

STEPS, PARAMETERS = 10, 6


def single(x):
    return struct.unpack("f", struct.pack("f", x))[0]


OPTIMIZERS = {  # our name: PyTorch's class, its arguments
    "adam": (torch.optim.Adam, {"lr": 1e-3}),
    "adam, weight decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    "adamw": (torch.optim.AdamW, {"lr": 1e-3}),
    "adamw, other settings": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.2}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 1e-3}),
    "rmsprop, momentum": (torch.optim.RMSprop, {"lr": 1e-3, "alpha": 0.9, "eps": 1e-6, "momentum": 0.5, "weight_decay": 0.1}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.01}),
    "adagrad, weight decay": (torch.optim.Adagrad, {"lr": 0.1, "eps": 1e-6, "weight_decay": 0.1}),
}


def rounded(settings):
    return {name: tuple(map(single, x)) if isinstance(x, tuple) else single(x) for name, x in settings.items()}


def optimizer_case(kind, settings, dtype):
    generator = torch.Generator().manual_seed(1)
    start = torch.randn(PARAMETERS, generator=generator)
    gradients = torch.randn(STEPS, PARAMETERS, generator=generator) * torch.tensor([1.0, 1e-1, 1e-3, 1e1, 1.0, 0.0])
    w = start.to(dtype).clone().requires_grad_()
    optimizer = kind([w], **rounded({**defaults(kind), **settings}))
    weights = []
    for gradient in gradients:
        w.grad = gradient.to(dtype)
        optimizer.step()
        weights.append(w.detach().tolist())
    return start.tolist(), gradients.tolist(), weights


def defaults(kind):
    """Numbers among PyTorch's defaults."""
    given = kind([torch.zeros(1, requires_grad=True)]).defaults
    return {name: given[name] for name in ("lr", "betas", "eps", "weight_decay", "alpha", "momentum") if name in given}


SCHEDULERS = {  # name: base rate, steps, scheduler
    "step": (0.1, 30, lambda o: torch.optim.lr_scheduler.StepLR(o, 7, gamma=0.5)),
    "exponential": (0.1, 30, lambda o: torch.optim.lr_scheduler.ExponentialLR(o, gamma=single(0.9))),
    "cosine": (0.1, 21, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=single(0.001))),
    "linear": (0.1, 15, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.25, total_iters=10)),
    "warm-up": (0.1, 15, lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.125, 1.0, total_iters=8)),
    "warm-up, cosine": (
        0.1,
        25,
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o,
            [
                torch.optim.lr_scheduler.LinearLR(o, 0.125, 1.0, total_iters=5),
                torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=0.0),
            ],
            milestones=[5],
        ),
    ),
    "one-cycle": (0.1, 40, lambda o: torch.optim.lr_scheduler.OneCycleLR(o, single(0.1), total_steps=40, cycle_momentum=False)),
    "one-cycle, other settings": (
        0.1,
        30,
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, single(0.1), total_steps=30, pct_start=0.5, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
}


def schedule_case(rate, steps, make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=single(rate))
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


PLATEAUS = {
    "defaults": {"patience": 3},
    "relative": {"patience": 2, "factor": 0.5, "threshold": 0.01, "cooldown": 2, "min_lr": 0.02},
}


def plateau_case(settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=single(0.1))
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    generator = torch.Generator().manual_seed(2)
    losses, rates = [], []
    for step in range(40):
        loss = float(torch.rand(1, generator=generator)) * 0.2 + 1 / (1 + step // 8)
        scheduler.step(loss)
        losses.append(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    return {"settings": settings, "losses": losses, "rates": rates}


def main():
    torch.set_num_threads(1)
    made = {"torch": torch.__version__, "optimizers": {}, "schedules": {}, "plateaus": {}}
    for name, (kind, settings) in OPTIMIZERS.items():
        start, gradients, exact = optimizer_case(kind, settings, torch.float64)
        single_precision = optimizer_case(kind, settings, torch.float32)[2]
        made["optimizers"][name] = {"settings": settings, "float64": exact, "float32": single_precision}
        made.update(start=start, gradients=gradients)
    for name, (rate, steps, make) in SCHEDULERS.items():
        made["schedules"][name] = schedule_case(rate, steps, make)
    for name, settings in PLATEAUS.items():
        made["plateaus"][name] = plateau_case(settings)
    path = Path(__file__).parent / "data" / "torch_optimizers.json"
    path.write_text(json.dumps(made, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
