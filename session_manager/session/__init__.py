"""Session logic without I/O: what a venue says and what time it is go in, what to do comes out."""
