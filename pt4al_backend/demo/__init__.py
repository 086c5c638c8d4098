"""`pt4al-backend demo`: a real Label Studio and the backend, on real images, ready to label."""

from pt4al_backend.demo.options import Options
from pt4al_backend.demo.run import run

__all__ = ["Options", "run"]
