"""Losses, metrics, the LightningModule and what surrounds a run."""
