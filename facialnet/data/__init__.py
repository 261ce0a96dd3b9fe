"""Raw files, the manifest, the store of pixels and the batches."""
