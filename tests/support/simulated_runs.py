"""Runs of simulations as `results.json` holds them."""

from __future__ import annotations

from typing import Any

from pt4al_backend.simulate.run_file import Run


def simulated_run(strategy: str, seed: int, *accuracies: float, balanced: float = 0.5, **more: Any) -> Run:
    """A run whose rounds have 10 labels each."""
    rounds = [
        {
            "round": k,
            "labels": 10 * (k + 1),
            "accuracy": accuracy,
            "balanced_accuracy": balanced,
            "network_accuracy": accuracy / 2,
        }
        for k, accuracy in enumerate(accuracies)
    ]
    return {"strategy": strategy, "seed": seed, "rounds": rounds, **more}
