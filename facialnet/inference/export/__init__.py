"""Checkpoints as files for other programs, each checked against PyTorch."""
