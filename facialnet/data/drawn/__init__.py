"""A data set of drawn faces: people and their shots, how a face is painted, the tree on disk."""
