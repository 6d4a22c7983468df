"""The two languages in which a venue is data: how to talk to it, and what its messages mean."""
