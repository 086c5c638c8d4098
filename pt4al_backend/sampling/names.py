"""Names of the query strategies and of the orders of batches, for who knows them by name alone."""

from __future__ import annotations

from typing import Literal

Name = Literal["pt4al", "random", "confidence", "margin", "entropy", "badge", "coreset", "typiclust"]
Order = Literal["hard_first", "easy_first", "dealt", "shuffled", "bandit"]
