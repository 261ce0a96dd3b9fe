"""Speed, each figure a ratio against a stated opponent in the same run."""
