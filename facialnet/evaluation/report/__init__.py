"""The report on runs: one page, tables and a model card."""
