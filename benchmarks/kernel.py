"""The kernel alone: routing frames into batches, and normalising batches into DBN and Redis commands."""

from __future__ import annotations

from tapeline_kernel import Normalizer, Router

from benchmarks.material import Material
from benchmarks.measure import Figure, figure, per_cpu_second
from tapeline.spec import subscribe
from tapeline.spec.encode import encode

_TURN = 512
"""Frames a push: what a busy socket gives in one turn of the loop."""

Turn = tuple[list[str], list[int], list[bytes]]
"""Channels, receive times and bytes of the frames of one turn."""


def measure_kernel(material: Material) -> dict[str, Figure]:
    """Figures `route`, `normalize` and `both` of one venue's schema, in payloads; and `records` in records."""
    count = len(material.payloads)
    turns = _turns(material)
    batches = _route(material, _router(material), turns)
    records = _normalize(_normalizer(material), batches)

    def route(router: Router) -> int:
        _route(material, router, turns)
        return count

    def normalize(kernel: Normalizer) -> int:
        _normalize(kernel, batches)
        return count

    routed = per_cpu_second(f"route {material.name}", "payloads", lambda: _router(material), route)
    normal = per_cpu_second(f"normalize {material.name}", "payloads", lambda: _normalizer(material), normalize)
    both = [1 / (1 / a + 1 / b) for a, b in zip(sorted(routed.runs), sorted(normal.runs), strict=True)]
    return {
        "route": routed,
        "normalize": normal,
        "both": figure(f"route and normalize {material.name}", "payloads", both),
        "records": figure(f"normalize {material.name}", "records", [run * records / count for run in normal.runs]),
    }


def _turns(material: Material) -> list[Turn]:
    rows = [material.payloads[start : start + _TURN] for start in range(0, len(material.payloads), _TURN)]
    return [
        ([name for name, _, _ in row], [stamp for _, stamp, _ in row], [data for _, _, data in row]) for row in rows
    ]


def _router(material: Material) -> Router:
    channels = list(dict.fromkeys(channel for channel, _, _ in material.payloads))
    routing = subscribe.routing(material.venue.session, channels)
    return Router(encode(routing), material.venue.provider, "PRIMARY", 1)


def _normalizer(material: Material) -> Normalizer:
    return Normalizer(encode(material.venue.meaning), material.venue.provider, "PRIMARY", "resp")


def _route(material: Material, router: Router, turns: list[Turn]) -> list[bytes]:
    batches = []
    for names, stamps, frames in turns:
        for place, data in router.push(0, stamps, frames)[0]:
            # A REST answer: the session manager knows its channel.
            router.inject(names[place], material.schema, stamps[place], 0, data)
        taken = router.take()
        if taken is not None:
            batches.append(taken[2])
    return batches


def _normalize(kernel: Normalizer, batches: list[bytes]) -> int:
    """The number of records that became of the batches."""
    return sum(kernel.normalize(batch).records for batch in batches)
