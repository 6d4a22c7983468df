"""Talks to venues: holds their connections and serves every raw payload as one stream."""
