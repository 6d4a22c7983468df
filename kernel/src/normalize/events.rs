//! What a person or a metric should know of, and counts of what was left out.

use super::state::State;
use super::values::Reject;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A payload fits no rule.
    Reject,
    /// Ids are missing.
    Gap,
    /// A snapshot is needed.
    Resync,
    /// A book is right again.
    Recovered,
    /// A checksum does not hold.
    Checksum,
    /// A lot was inferred.
    Inferred,
    /// Two symbols have one id.
    Collision,
    /// A channel has been silent for longer than is normal.
    Stale,
    /// Payloads of the raw stream are out of reach.
    Lost,
}

impl EventKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Reject => "reject",
            EventKind::Gap => "gap",
            EventKind::Resync => "resync",
            EventKind::Recovered => "recovered",
            EventKind::Checksum => "checksum",
            EventKind::Inferred => "inferred",
            EventKind::Collision => "collision",
            EventKind::Stale => "stale",
            EventKind::Lost => "lost",
        }
    }
}

/// Something a person or a metric should know of.
#[derive(Clone, Debug)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// On which raw channel.
    pub channel: String,
    /// Of which instrument.
    pub symbol: String,
    /// Why.
    pub reason: String,
    /// Which payload.
    pub sequence: u64,
    /// First of the venue's ids concerned.
    pub from_id: u64,
    /// Last of them.
    pub to_id: u64,
    /// The first bytes of a rejected payload.
    pub sample: Vec<u8>,
}

const SAMPLE_BYTES: usize = 256;

impl State {
    /// Notes something that happened.
    pub fn event(
        &mut self,
        kind: EventKind,
        channel: Option<usize>,
        instrument: Option<usize>,
        reason: &str,
        from_id: u64,
        to_id: u64,
    ) {
        let channel = channel.and_then(|at| self.channels.get(at)).map_or(String::new(), |known| known.name.clone());
        let symbol = instrument.map_or(String::new(), |at| self.instruments.get(at).raw_symbol.clone());
        let sequence = self.outs.sequence;
        let reason = reason.to_string();
        self.events.push(Event { kind, channel, symbol, reason, sequence, from_id, to_id, sample: Vec::new() });
    }

    /// Counts a payload that fits no rule.
    pub fn reject(&mut self, channel: usize, reject: Reject, payload: &[u8]) {
        self.accounted += 1;
        *self.rejected.entry(reject.0.into()).or_default() += 1;
        self.event(EventKind::Reject, Some(channel), None, reject.0, 0, 0);
        if let Some(event) = self.events.last_mut() {
            event.sample = payload.get(..SAMPLE_BYTES).unwrap_or(payload).to_vec();
        }
    }

    /// Counts something left out on purpose.
    pub fn exclude(&mut self, reason: &str) {
        self.accounted += 1;
        match self.excluded.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                self.excluded.insert(reason.into(), 1);
            }
        }
    }
}
