"""The consumer SDK: what is published, as batches of DBN records, with every hole told.

async with Consumer(url, patterns=["MARKET_DATA.PRIMARY.MBO.*"]) as consumer:
    async for item in consumer:
        match item:
            case Message(): book.apply(item.array())
            case Hole(): book.doubt(item)
"""

from tapeline.consumer.client import Consumer
from tapeline.consumer.definitions import Definitions, Instrument
from tapeline.consumer.items import Counts, Hole, Message, Reason
from tapeline.consumer.merging import MergeOptions, Mode
from tapeline.consumer.snapshots import definition_key, snapshot_key

__all__ = [
    "Consumer",
    "Counts",
    "Definitions",
    "Hole",
    "Instrument",
    "MergeOptions",
    "Message",
    "Mode",
    "Reason",
    "definition_key",
    "snapshot_key",
]
