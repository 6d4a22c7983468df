//! What the session manager says of its own connections, in the same stream as the payloads.

use super::events::EventKind;
use super::out::Exact;
use super::state::State;
use super::values::Reject;
use super::SESSION_CHANNEL;
use crate::json::{Found, Tree};
use crate::record::{self, Health, Schema, Stamp};
use crate::spec::LinkRule;
use crate::sync::unproved;
use crate::wire::PayloadView;

impl State {
    /// A connection went up or down: STATUS, and after `down` its books are doubtful.
    pub fn session(&mut self, payload: &PayloadView<'_>) -> Result<(), Reject> {
        let mut tree = Tree::default();
        let (event, connection, reason) = (tree.slot("event"), tree.slot("connection"), tree.slot("reason"));
        let channel = tree.slot("channel");
        let mut found = Found::default();
        tree.scan(payload.data, &mut found).map_err(|_| Reject("syntax"))?;
        let text = |slot: u16| String::from_utf8_lossy(found.slots[usize::from(slot)].of(payload.data)).into_owned();
        let event = text(event);
        let health = match event.as_str() {
            "up" => Health::Right,
            "down" | "stale" => Health::Doubtful,
            _ => return Err(Reject("unknown_message")),
        };
        let connection: u32 = text(connection).parse().map_err(|_| Reject("bad_id"))?;
        let stamp = Stamp {
            publisher_id: self.publisher(),
            instrument_id: 0,
            ts_event: payload.ts_recv,
            ts_recv: payload.ts_recv,
            ts_sent: payload.ts_recv,
            sequence: connection,
        };
        if event != "stale" {
            self.count_anew(connection);
        }
        // A stale channel is told of on its own STATUS; its book is renewed by the session manager unasked.
        let stale = event == "stale";
        let about = if stale { text(channel) } else { SESSION_CHANNEL.to_string() };
        let first = self.shard.is_first();
        if first {
            let out = self.outs.find(Schema::Status, &about);
            self.outs.record(out, &Exact::default(), |bytes| record::status(bytes, &stamp, health));
            self.outs.keep(out, 0, connection as u16);
        }
        if stale && first {
            self.event(EventKind::Stale, None, None, &format!("{about}: {}", text(reason)), 0, 0);
        } else if !stale && health == Health::Doubtful {
            if first {
                self.event(EventKind::Gap, None, None, &format!("connection {connection}: {}", text(reason)), 0, 0);
            }
            self.doubt(payload.ts_recv, "connection", |channel, _| channel == connection);
            // An older connection that lives on is all they have.
            for book in self.books.iter_mut().filter(|book| book.from == Some(connection)) {
                book.from = None;
            }
            self.forget_quotes("connection", |channel| channel == connection);
        }
        Ok(())
    }

    /// Doubts books that nothing in their own messages would prove wrong.
    pub fn doubt_unlinked(&mut self, reason: &str) {
        self.doubt(0, reason, |_, linked| !linked);
        self.forget_quotes(reason, |_| true);
    }

    /// Doubts the live books for which `which` (connection, whether it has a link or checksum) holds.
    pub(super) fn doubt(&mut self, ts_recv: u64, reason: &str, which: impl Fn(u32, bool) -> bool) {
        for at in 0..self.books.len() {
            let book = &self.books[at];
            let linked =
                book.rule.link != LinkRule::None && book.rule.link != LinkRule::Rising || book.rule.checksum.is_some();
            let (channel, instrument) = (book.channel, book.instrument);
            let book = &self.books[at];
            let connection =
                book.from.or_else(|| self.channels.get(channel).map(|known| known.connection)).unwrap_or(0);
            if !which(connection, linked) || !self.books[at].sync.doubt() {
                continue;
            }
            if unproved(&self.books[at].rule) {
                self.books[at].kept.clear();
            }
            self.resyncs += 1;
            let ts_recv = if ts_recv == 0 { self.books[at].stamp.ts_recv } else { ts_recv };
            let stamp = Stamp { ts_event: ts_recv, ts_recv, ts_sent: ts_recv, ..self.books[at].stamp };
            self.health(channel, instrument, &stamp, Health::Doubtful);
            self.event(EventKind::Resync, Some(channel), Some(instrument), reason, 0, 0);
        }
    }
}
