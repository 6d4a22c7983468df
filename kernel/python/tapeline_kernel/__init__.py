"""What Tapeline does once per message, in Rust: route, normalise, encode."""

from tapeline_kernel._native import BatchError, Router, SpecError

__all__ = ["BatchError", "Router", "SpecError"]
