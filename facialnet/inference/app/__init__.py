"""A page in the browser to try a network on, and to look at what runs left."""
