//! Trades that stand in blocks of a chain, which may be given up for others: each published once, and taken back when its block is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::out::Exact;
use super::sampled::{mixed, SEED};
use super::state::State;
use super::values::{self, Reject};
use super::Job;
use crate::decimal::Dec;
use crate::plan::{self, Source};
use crate::record::{self, Schema, Stamp};

/// So many trades of a channel are remembered: of a busy pool some fifty blocks, and no chain goes back that far.
const REMEMBERED: usize = 1024;
/// So many blocks' times are.
const HEADS: usize = 256;

/// Where a trade stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    number: u64,
    hash: u64,
    index: u64,
}

/// A trade that was published and may be taken back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Standing {
    pub(super) place: Place,
    pub(super) instrument: usize,
    pub(super) id: u64,
    pub(super) ts_event: u64,
    pub(super) px: i64,
    pub(super) lots: u32,
    pub(super) side: u8,
    pub(super) flags: u8,
    pub(super) price: Dec,
    pub(super) size: Dec,
}

/// Hash and time of the newest blocks, by number.
pub type Heads = BTreeMap<u64, (u64, Option<u64>)>;

/// Where a trade stands, and whether it is taken back.
pub fn place(source: &Source<'_>, of: &plan::InBlock) -> Result<(Place, bool), Reject> {
    let place = Place {
        number: values::id(source, of.number)?,
        hash: hash(source, of.hash)?,
        index: values::id(source, of.index)?,
    };
    Ok((place, of.removed.iter().any(|on| on.holds(source))))
}

fn hash(source: &Source<'_>, place: plan::Place) -> Result<u64, Reject> {
    match source.get(place) {
        [] => Err(Reject("missing_field")),
        text => Ok(text.iter().fold(SEED, |hash, byte| mixed(hash, u64::from(*byte)))),
    }
}

impl State {
    /// Whether a trade has been published and not been taken back; notes that a page has it.
    pub(super) fn stands(&mut self, channel: usize, place: &Place, page: bool) -> bool {
        if page {
            self.paged_blocks.push(*place);
        }
        let Some(known) = self.channels.get(channel) else { return false };
        known.standing.iter().rev().any(|(_, _, trade)| trade.place == *place)
    }

    /// What has been said before, or is taken back.
    pub(super) fn known_trade(&mut self, job: &Job<'_>, place: &Place, removed: bool) {
        if !removed {
            self.exclude("repeated trade");
        } else if self.take_back(job.channel, job.ts_recv, |_, _, trade| trade.place == *place) == 0 {
            self.exclude("removed before it was published");
        }
    }

    /// Remembers a trade that was published.
    pub(super) fn stand(&mut self, channel: usize, trade: Standing) {
        let epoch = self.epoch;
        let Some(known) = self.channels.get_mut(channel) else { return };
        if known.standing.len() >= REMEMBERED {
            known.standing.pop_front();
        }
        known.standing.push_back((epoch, known.connection, trade));
    }

    /// When a trade's block was made, where its head has come.
    pub(super) fn block_time(&self, place: &Place) -> Option<u64> {
        self.heads.get(&place.number).filter(|(hash, _)| *hash == place.hash).and_then(|(_, time)| *time)
    }

    /// A new head of the chain.
    pub(super) fn block(&mut self, job: &Job<'_>, make: &plan::Block, source: &Source<'_>) -> Result<(), Reject> {
        let number = values::id(source, make.number)?;
        let (own, parent) = (hash(source, make.hash)?, hash(source, make.parent)?);
        self.heads.insert(number, (own, values::time_of(source, &make.time)?));
        if self.heads.len() > HEADS {
            self.heads.pop_first();
        }
        let gone = |place: &Place| {
            place.number == number && place.hash != own
                || place.number.wrapping_add(1) == number && place.hash != parent
        };
        let mut taken = 0;
        for channel in 0..self.channels.len() {
            taken += self.take_back(channel, job.ts_recv, |_, _, trade| gone(&trade.place));
        }
        if taken == 0 && self.is_home(job.channel) {
            self.exclude("head of the chain");
        }
        Ok(())
    }

    /// A page that was asked for after its connection came up ends: what came by an earlier one, and is left out, is gone.
    pub(super) fn end_block_page(&mut self, channel: usize, ts_recv: u64) {
        let paged = std::mem::take(&mut self.paged_blocks);
        let numbers = paged.iter().map(|place| place.number);
        let (Some(first), Some(last)) = (numbers.clone().min(), numbers.max()) else { return };
        let now = (self.epoch, self.channels.get(channel).map_or(0, |known| known.connection));
        self.take_back(channel, ts_recv, |epoch, connection, trade| {
            (epoch, connection) != now && (first..=last).contains(&trade.place.number) && !paged.contains(&trade.place)
        });
    }

    /// Takes back, newest first, the trades of a channel for which `which` (epoch, connection, trade) holds; how many.
    fn take_back(&mut self, channel: usize, ts_recv: u64, which: impl Fn(u64, u32, &Standing) -> bool) -> usize {
        let Some(known) = self.channels.get_mut(channel) else { return 0 };
        let mut gone: Vec<Standing> = Vec::new();
        known.standing.retain(|(epoch, connection, trade)| {
            let goes = which(*epoch, *connection, trade);
            if goes {
                gone.push(*trade);
            }
            !goes
        });
        known.dirty |= !gone.is_empty();
        let out = if gone.is_empty() { 0 } else { self.out(channel, Schema::Trades) };
        for trade in gone.iter().rev() {
            let stamp: Stamp = self.stamp(trade.instrument, ts_recv, Some(trade.ts_event), None, trade.id);
            let exact =
                Exact { venue_id: trade.id, price: Some(trade.price), size: Some(trade.size), ..Exact::default() };
            self.outs.record(out, &exact, |bytes| {
                record::trade_taken_back(bytes, &stamp, trade.px, trade.lots, trade.side, trade.flags);
            });
            self.outs.keep(out, stamp.instrument_id, 0);
        }
        gone.len()
    }
}
