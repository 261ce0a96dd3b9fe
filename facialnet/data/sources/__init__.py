"""One short file a data set: raw files in, a Reading out."""
