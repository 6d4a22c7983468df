"""Hot path: raw payloads become DBN on Redis, one write for each batch."""
