"""The kernel alone: routing frames into batches, and normalising batches into DBN and Redis commands."""

from __future__ import annotations

from tapeline_kernel import Normalizer, Router

from benchmarks.material import Material
from benchmarks.measure import Figure, figure, per_cpu_second
from tapeline.spec import subscribe
from tapeline.spec.encode import encode

_TURN = 512
"""Frames a push: what a busy socket gives in one turn of the loop."""


def measure_kernel(material: Material) -> dict[str, Figure]:
    """Figures `route`, `normalize` and `both` of one venue's schema, in payloads; and `records` in records."""
    route = per_cpu_second(f"route {material.name}", "payloads", lambda: len(_routed(material)[1]))
    batches, _ = _routed(material)
    records = _normalized(material, batches)
    normalize = per_cpu_second(
        f"normalize {material.name}", "payloads", lambda: _normalized(material, batches) and len(material.payloads)
    )
    ratio = records / len(material.payloads)
    both = [1 / (1 / a + 1 / b) for a, b in zip(sorted(route.runs), sorted(normalize.runs), strict=True)]
    return {
        "route": route,
        "normalize": normalize,
        "both": figure(f"route and normalize {material.name}", "payloads", both),
        "records": figure(f"normalize {material.name}", "records", [run * ratio for run in normalize.runs]),
    }


def _routed(material: Material) -> tuple[list[bytes], tuple[object, ...]]:
    """Encoded batches of all payloads; and the payloads, so that their number is at hand."""
    venue = material.venue
    channels = list(dict.fromkeys(channel for channel, _, _ in material.payloads))
    routing = subscribe.routing(venue.session, channels)
    router = Router(encode(routing), venue.provider, "PRIMARY", 1)
    batches = []
    for start in range(0, len(material.payloads), _TURN):
        turn = material.payloads[start : start + _TURN]
        left = router.push(0, [stamp for _, stamp, _ in turn], [data for _, _, data in turn])
        for place, data in left:
            # A REST answer: the session manager knows its channel.
            channel, stamp, _ = turn[place]
            router.inject(channel, material.schema, stamp, 0, data)
        taken = router.take()
        if taken is not None:
            batches.append(taken[2])
    return batches, material.payloads


def _normalized(material: Material, batches: list[bytes]) -> int:
    """The number of records that became of the batches."""
    kernel = Normalizer(encode(material.venue.meaning), material.venue.provider, "PRIMARY", "resp")
    return sum(kernel.normalize(batch).records for batch in batches)
