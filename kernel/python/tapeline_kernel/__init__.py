"""What Tapeline does once per message, in Rust: route, normalise, encode."""

from tapeline_kernel._native import (
    SIDECAR,
    BatchError,
    Coalescer,
    Decoder,
    Event,
    Merged,
    Merger,
    Normalizer,
    Output,
    Router,
    SpecError,
    gather,
    identities,
    merge_batches,
    split_batch,
)

__all__ = [
    "SIDECAR",
    "BatchError",
    "Coalescer",
    "Decoder",
    "Event",
    "Merged",
    "Merger",
    "Normalizer",
    "Output",
    "Router",
    "SpecError",
    "gather",
    "identities",
    "merge_batches",
    "split_batch",
]
