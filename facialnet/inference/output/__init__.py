"""What answers are written to: terminal, JSON lines, CSV, Parquet; and going on after a stop."""
