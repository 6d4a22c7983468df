"""One unit of work: from the raw objects its plan names to its files in the lake; a function of what the stores hold."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from urllib.parse import urlsplit

import msgspec
import numpy as np
import numpy.typing as npt
from tapeline_kernel import Normalizer

from postprocess.batches import Batch, Stream, side_by_side
from postprocess.canonical import Canonical, Step
from postprocess.channels import ChannelStream, Objects, Sessions
from postprocess.codes import Texts
from postprocess.files import UnitFiles
from postprocess.ledger.account import Account
from postprocess.memory import begin_peak, keep_freed, peak_bytes
from postprocess.plan import Plan, read_plan
from postprocess.raw import PRIMARY, REPLICA, Channel, of_keys
from postprocess.sharing import concerned, label, look, looked, looked_key
from postprocess.units import LOOK, UNREAD, Problem, Report, Unit, failure
from tapeline.days import day_span
from tapeline.errors import TapelineError
from tapeline.objectstore import ObjectStore, StoreRefusedError, open_store
from tapeline.offline.lake import Lake
from tapeline.offline.tables import RAW_PAYLOADS
from tapeline.partitions import ObjectKey
from tapeline.spec.encode import encode
from tapeline.spec.merging import uncounted
from tapeline.venues import Venue, load

_AHEAD_BYTES = 32 << 20
"""Of raw objects that are read before they are needed."""

_HELD_BYTES = 16 << 20
"""Of payloads that wait for other channels' to be put beside them: what caches hold is quicker than what memory holds."""


def run_unit(unit: Unit) -> Report:
    """Makes the files of a unit and notes its report in the lake; what stops it is told in the report."""
    keep_freed()
    begin_peak()
    started, cpu = time.perf_counter(), time.process_time()
    try:
        lake = Lake(open_store(unit.lake, unit.s3_endpoint), unit.lake)
        store = open_store(unit.store, unit.s3_endpoint)
        plan = read_plan(lake, unit.date, unit.provider, unit.version)
        with closing(_Run(unit, load(unit.provider.lower()), plan, store, lake)) as run:
            report = run.look() if unit.step == LOOK else run.report()
        if unit.step == LOOK:
            return report
        report = msgspec.structs.replace(
            report,
            seconds=round(time.perf_counter() - started, 6),
            cpu_seconds=round(time.process_time() - cpu, 6),
            peak_rss_bytes=peak_bytes(),
        )
        lake.store.put(report_key(unit), report.encode(), if_absent=False)
    except (TapelineError, msgspec.DecodeError, MemoryError, OSError) as error:
        return failure(unit, str(error) or type(error).__name__)
    return report


def _begins(item: tuple[ObjectKey, str]) -> tuple[int, int]:
    """Where an object stands in its instance's stream."""
    return item[0].epoch, item[0].first


def report_key(unit: Unit) -> str:
    """Where a finished unit's report stands in the lake."""
    return f"{unit.work}/report-{unit.shard:04d}.json"


def account_folder(unit: Unit) -> str:
    """Where a unit's account for the ledger stands in the lake, without a slash at the end."""
    return f"{unit.work}/account-{unit.shard:04d}"


class _Run:
    def __init__(self, unit: Unit, venue: Venue, plan: Plan, store: ObjectStore, lake: Lake) -> None:
        self._unit = unit
        self._venue = venue
        self._plan = plan
        self._lake = lake
        self._found = of_keys(plan.objects | plan.near, plan.names)
        here = [self._found.parsed[key].partition for key in plan.objects]
        self._channels = sorted({Channel(place.provider, place.channel, place.schema) for place in here})
        self._instances = sorted({place.instance for place in here})
        if self._instances == [REPLICA] and PRIMARY in self._found.instances(unit.provider):
            # What the primary has after midnight may be the copy that stands.
            self._instances = [PRIMARY, REPLICA]
        if len(self._instances) == 1:
            self._found = of_keys(plan.objects, plan.names)
        self._own: npt.NDArray[np.bool_] = np.ones(len(self._channels), np.bool_)
        """By channel: whether this shard keeps its payloads."""
        self._broken: dict[str, str] = {}
        far = urlsplit(unit.store).scheme == "s3"
        self._objects = Objects(store, self._note_broken, min(_AHEAD_BYTES, unit.memory_bytes // 16) if far else 0)
        self._counts: Counter[str] = Counter()
        self._span = day_span(unit.date)

    def close(self) -> None:
        """Ends what goes on beside it."""
        self._objects.close()

    def look(self) -> Report:
        """Looks which shards some of the channels concern, if that is not known yet."""
        unit = self._unit
        if looked(self._lake, unit) is None:
            meaning = uncounted(self._venue.meaning) if len(self._instances) > 1 else self._venue.meaning
            kernel = Normalizer(encode(meaning), unit.provider, self._instances[0], "dbn")
            places = range(unit.shard, len(self._channels), unit.shards)
            self._objects.expect(self._sized(key for place in places for keys in self._sides(place) for key in keys))
            streams = zip((self._channels[place] for place in places), self._streams(places), strict=True)
            found = look(kernel, streams, unit.shards)
            if self._objects.unread:
                # Whose its channel is cannot be known: a shard might lack it.
                raise StoreRefusedError(next(iter(self._broken.values())))
            self._lake.store.put(looked_key(unit), msgspec.json.encode(found), if_absent=False)
        # What is wrong with an object is told by the shard that makes rows of it.
        return Report(unit, {}, {}, {}, 0.0, 0.0, 0, [])

    def report(self) -> Report:
        """Makes the files."""
        before = self._lake.standing(self._unit.date, self._unit.provider, self._plan.before)
        texts = Texts()
        with UnitFiles(self._lake, self._unit, texts) as files:
            folder = files.folder / "account"
            folder.mkdir()
            names = [(channel.name, channel.schema) for channel in self._channels]
            account = Account(self._instances, names, folder, self._span)
            single = len(self._instances) == 1
            canonical = self._canonical(texts)
            for step in canonical.begin(before, self._span[0]):
                self._keep(step, canonical, files)
            share = self._share()
            self._objects.expect(self._sized(self._by_time(share)))
            streams = self._streams(share)
            epochs = np.array(self._epochs(), np.int64)
            merged: list[Stream] = [Sessions(stream, epochs) for stream in streams] if single else list(streams)
            for batch in side_by_side(merged, min(_HELD_BYTES, self._unit.memory_bytes // 8)):
                self._take(batch, canonical, account, files)
            files.finish(canonical.symbols())
            files.put_state(canonical.state())
            self._settle(account, streams, files)
        unread = self._objects.unread
        problems = [Problem(UNREAD if key in unread else "object", key, reason) for key, reason in self._own_broken()]
        counts = {name: self._counts[name] for name in ("payloads", "records")}
        return Report(
            self._unit, files.tables, files.dbn, counts, 0.0, 0.0, 0, problems, index=files.index, state=files.state
        )

    def _canonical(self, texts: Texts) -> Canonical:
        shard = (self._unit.shard, self._unit.shards)
        if len(self._instances) > 1:
            return Canonical(self._venue, self._instances, self._channels, texts, shard=shard)
        gaps = [gap for gap in self._plan.gaps if gap.instance == self._instances[0]]
        return Canonical(self._venue, self._instances, self._channels, texts, self._epochs(), gaps, shard)

    def _share(self) -> list[int]:
        """The channels that concern this shard, by their places; notes which of them are its own."""
        unit = self._unit
        if unit.shards == 1:
            return list(range(len(self._channels)))
        masks = concerned(self._lake, unit)
        # What no shard makes anything of is kept by the first, and what several do by the first of them.
        of = [masks.get(label(channel), 0) or 1 for channel in self._channels]
        self._own = np.array([mask & -mask == 1 << unit.shard for mask in of])
        return [place for place, mask in enumerate(of) if mask >> unit.shard & 1]

    def _streams(self, places: Iterable[int]) -> list[ChannelStream]:
        specs = (encode(self._venue.session.routing), encode(self._venue.meaning))
        return [ChannelStream(number, self._sides(number), specs, self._objects) for number in places]

    def _sides(self, number: int) -> list[list[str]]:
        """A channel's objects by instance, each in order."""
        sides = self._found.channels[self._channels[number]]
        return [sides.get(instance, []) for instance in self._instances]

    def _by_time(self, places: Iterable[int]) -> list[str]:
        """The objects of channels about as they will be needed: an instance's sequences tell its order, shares of them both's."""
        found: list[tuple[float, str]] = []
        for keys in zip(*map(self._sides, places), strict=True):
            names = sorted(((self._found.parsed[key], key) for side in keys for key in side), key=_begins)
            found += ((number / len(names), key) for number, (_, key) in enumerate(names))
        return [key for _, key in sorted(found)]

    def _sized(self, keys: Iterable[str]) -> Iterator[tuple[str, int]]:
        return ((key, self._found.bytes[key]) for key in keys)

    def _epochs(self) -> list[int]:
        return sorted({self._found.parsed[key].epoch for key in self._plan.objects})

    def _take(self, batch: Batch, canonical: Canonical, account: Account, files: UnitFiles) -> None:
        own = batch if self._own.all() else batch.take(np.flatnonzero(self._own[batch.channel]))
        account.note_rows(own)
        own = self._of_day(own)
        if len(own):
            files.add_rows(RAW_PAYLOADS, *canonical.raw(own), own)
            self._counts["payloads"] += len(own)
        batch = self._of_day(batch)
        if not len(batch):
            return
        for step in canonical.steps(batch):
            self._keep(step, canonical, files)
            account.note_events(step.output.events, step.first, step.spoken)

    def _keep(self, step: Step, canonical: Canonical, files: UnitFiles) -> None:
        for part in step.parts:
            files.add_part(part, canonical.symbols())
            self._counts["records"] += len(part.places)
        files.add_places(canonical.channels(), step.numbers, step.stamps)

    def _of_day(self, batch: Batch) -> Batch:
        """Without what counts for the day before or after: a message is of the day of the copy that stands."""
        first, end = self._span
        if not len(batch) or (int(batch.ts_recv.min()) >= first and int(batch.ts_recv.max()) < end):
            return batch
        return batch.take(np.flatnonzero((batch.ts_recv >= first) & (batch.ts_recv < end)))

    def _settle(self, account: Account, streams: Sequence[ChannelStream], files: UnitFiles) -> None:
        """Puts what the ledger needs of this unit beside its report."""
        for stream in streams:
            for count, stamp in stream.doubled:
                if self._own[stream.number]:
                    account.note_duplicates(stream.number, count, stamp)
        for key, reason in self._own_broken():
            name = self._found.parsed[key]
            if name.partition.instance in self._instances:
                side = self._instances.index(name.partition.instance)
                account.note_broken(side, name.epoch, name.first, name.last, reason)
        account.note_bars(files.local["trades"], files.local["ohlcv_1m"], self._unit.memory_bytes)
        for path in account.close():
            self._lake.store.put(f"{account_folder(self._unit)}/{path.name}", path.read_bytes(), if_absent=False)

    def _own_broken(self) -> list[tuple[str, str]]:
        """What was wrong with objects of this shard's own channels, by key."""
        places = {channel: place for place, channel in enumerate(self._channels)}
        found = []
        for key, reason in sorted(self._broken.items()):
            at = self._found.parsed[key].partition
            if self._own[places[Channel(at.provider, at.channel, at.schema)]]:
                found.append((key, reason))
        return found

    def _note_broken(self, key: str, reason: str) -> None:
        self._broken.setdefault(key, reason)
