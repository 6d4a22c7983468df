"""Cold path: raw payloads become gzip partitions in the object store."""
