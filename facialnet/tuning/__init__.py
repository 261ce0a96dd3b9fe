"""Tuning: settings chosen one after the other, or by a search; it knows nothing of Hydra."""
