"""Figures and files of a run; no torch in here."""
