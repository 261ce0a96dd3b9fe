"""From a photo to the faces in it, and from a face to the pixels that a network was trained on."""
