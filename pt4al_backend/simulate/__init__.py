"""`pt4al-backend simulate`: the real loop, replayed with known labels."""

from pt4al_backend.simulate.command import Plan, plan, run
from pt4al_backend.simulate.simulation import Replay
from pt4al_backend.simulate.source import Source
from pt4al_backend.simulate.variants import parse

__all__ = ["Plan", "Replay", "Source", "parse", "plan", "run"]
