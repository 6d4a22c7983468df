"""History as a feed and as files: what the lake holds, published again as it came, or written for one symbol."""
