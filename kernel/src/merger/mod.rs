//! Two instances as one stream: every venue message once, in the venue's order, whichever side brought it.

use hashbrown::HashMap;

use crate::plan::SpecError;
use crate::record::Schema;

pub mod book;
pub mod identity;
pub mod lane;
pub mod mirror;
pub mod output;
pub mod pairing;
pub mod resp_sink;
pub mod turn;

use lane::{Context, Lane};
use output::{Kind, Output};
use turn::Rules;

/// How often, at most, everything is looked through for what can be forgotten, ns.
const SWEEP: u64 = 1_000_000_000;
const SESSION: &str = "_session";

/// Running totals; pairs are by side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Venue messages handed out, by the side whose copy it was.
    pub delivered: [u64; 2],
    /// Messages that came on both sides.
    pub twins: u64,
    /// Messages that a side never brought though the other did, once they are no longer waited for.
    pub missed: [u64; 2],
    /// What a side sent again.
    pub repeats: u64,
    /// Snapshots that nobody needed.
    pub snapshots: u64,
    /// Holes that neither side filled in time.
    pub gaps: u64,
    /// How often a merged book became doubtful.
    pub doubts: u64,
    /// Changes of who speaks (failover).
    pub switches: u64,
    /// Messages that were no whole records.
    pub malformed: u64,
}

/// What is known of one provider.
#[derive(Debug, Default)]
struct Feed {
    provider: String,
    heard: [u64; 2],
    /// The channel on which its sessions tell how they are.
    session: Option<usize>,
}

/// Merges the channels of two sides.
#[derive(Debug)]
pub struct Merger {
    rules: Rules,
    floor: u64,
    lanes: Vec<Lane>,
    names: HashMap<String, u32>,
    feeds: Vec<Feed>,
    out: Output,
    /// Totals.
    pub counts: Counts,
    remembered: usize,
    waiting: Vec<u32>,
    swept: u64,
    sink: resp_sink::Sink,
}

impl Merger {
    /// Nothing is known yet; every `ts_recv` handed out is to be above `floor`.
    pub fn new(rules: Rules, floor: u64) -> Self {
        Self {
            rules,
            floor,
            lanes: Vec::new(),
            names: HashMap::new(),
            feeds: Vec::new(),
            out: Output::default(),
            counts: Counts::default(),
            remembered: 0,
            waiting: Vec::new(),
            swept: 0,
            sink: resp_sink::Sink::default(),
        }
    }

    /// The number of a merged channel, by its whole name.
    pub fn lane(&mut self, name: &str) -> Result<u32, SpecError> {
        if let Some(found) = self.names.get(name) {
            return Ok(*found);
        }
        let parts: Vec<&str> = name.splitn(5, '.').collect();
        let [_, _, schema, provider, channel] = parts[..] else {
            return Err(SpecError(format!("{name} is no channel name")));
        };
        let schema = Schema::parse(schema)?;
        let feed = self.feeds.iter().position(|feed| feed.provider == provider).unwrap_or_else(|| {
            self.feeds.push(Feed { provider: provider.into(), ..Feed::default() });
            self.feeds.len() - 1
        });
        let number = self.lanes.len() as u32;
        if schema == Schema::Status && channel == SESSION {
            self.feeds[feed].session = Some(self.lanes.len());
        }
        self.lanes.push(Lane::new(number, name.into(), schema, feed, self.floor));
        self.names.insert(name.into(), number);
        Ok(number)
    }

    /// Takes what a side published on a channel; `now` is the arrival clock, ns, which never falls.
    pub fn feed(&mut self, side: usize, lane: u32, data: &[u8], now: u64, kind: Kind) {
        let (side, at) = (side & 1, lane as usize);
        let Some(found) = self.lanes.get(at) else { return };
        if !found.is_whole(data) {
            self.counts.malformed += 1;
            return;
        }
        let number = found.feed;
        self.feeds[number].heard[side] = now;
        let mut context = context(&self.rules, &self.lanes, &self.feeds[number], now, &mut self.out, &mut self.counts);
        let lane = &mut self.lanes[at];
        let before = lane.remembered();
        lane.take(&mut context, side, data, kind);
        self.remembered = self.remembered + lane.remembered() - before;
        if lane.is_waiting() && !self.waiting.contains(&(at as u32)) {
            self.waiting.push(at as u32);
        }
        if self.remembered * pairing::ENTRY_BYTES > self.rules.bytes {
            self.shrink(now);
        }
    }

    /// Hands out what has waited for long enough; to be called some 20 times a second.
    pub fn tick(&mut self, now: u64) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for at in &waiting {
            let number = self.lanes[*at as usize].feed;
            let mut context =
                context(&self.rules, &self.lanes, &self.feeds[number], now, &mut self.out, &mut self.counts);
            self.lanes[*at as usize].tick(&mut context);
        }
        waiting.retain(|at| self.lanes[*at as usize].is_waiting());
        self.waiting = waiting;
        if now.saturating_sub(self.swept) >= SWEEP {
            self.swept = now;
            self.forget(now.saturating_sub(self.rules.window));
        }
    }

    fn forget(&mut self, before: u64) {
        let mut remembered = 0;
        for lane in &mut self.lanes {
            lane.forget(before, &mut self.counts.missed);
            remembered += lane.remembered();
        }
        self.remembered = remembered;
    }

    /// Remembers for a shorter time, until there is room.
    #[cold]
    fn shrink(&mut self, now: u64) {
        let mut window = self.rules.window;
        while self.remembered * pairing::ENTRY_BYTES > self.rules.bytes / 4 * 3 {
            window /= 2;
            self.forget(now.saturating_sub(window));
            if window == 0 {
                self.forget(u64::MAX);
                return;
            }
        }
    }

    /// What is to be handed out since the last call.
    pub fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.out)
    }

    /// Bytes remembered and held back.
    pub fn memory(&self) -> usize {
        let held: usize = self.waiting.iter().map(|at| self.lanes[*at as usize].held_bytes()).sum();
        self.remembered * pairing::ENTRY_BYTES + held
    }

    /// Takes up where a channel stands that an earlier merger handed out, by what its late-join key holds.
    pub fn resume(&mut self, lane: u32, data: &[u8]) {
        if let Some(lane) = self.lanes.get_mut(lane as usize).filter(|lane| lane.is_whole(data)) {
            lane.resume(data);
        }
    }
}

fn context<'a>(
    rules: &'a Rules,
    lanes: &[Lane],
    feed: &Feed,
    now: u64,
    out: &'a mut Output,
    counts: &'a mut Counts,
) -> Context<'a> {
    let session = feed.session.and_then(|at| lanes.get(at));
    let down = [0, 1].map(|side| session.is_some_and(|lane| lane.is_down(side)));
    Context { rules, now, out, counts, down, heard: feed.heard }
}
