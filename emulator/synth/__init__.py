"""Synthetic markets: books that move in a closed loop, and what happens in them."""
