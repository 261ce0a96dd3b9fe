"""Why a network answers as it does: maps of a face, whether they mean anything, feature maps."""
