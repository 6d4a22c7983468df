//! Compiles a venue's meaning: paths become slots of one tree a channel.

use super::symbol::by_channel;
use super::{
    Bar, Block, Condition, Each, Ids, InBlock, Instrument, Levels, Make, Message, Of, Order, PageKey, Pick, Place,
    Program, Quote, Rows, Sides, SpecError, Statistics, Top, Trade, When,
};
use crate::glob;
use crate::json::{Columns, Tree};
use crate::record::Schema;
use crate::spec::{self, Coding, Emit, LinkRule};
use crate::time;

struct Compiler<'a> {
    tree: &'a mut Tree,
    entries: Option<Tree>,
    constants: &'a mut Vec<Box<[u8]>>,
    books: &'a [spec::Book],
}

impl Compiler<'_> {
    fn place(&mut self, path: &str) -> Place {
        if let Some(text) = path.strip_prefix('=') {
            self.constants.push(text.as_bytes().into());
            return Place { of: Of::Spec, slot: (self.constants.len() - 1) as u16 };
        }
        match (&mut self.entries, path.strip_prefix('.')) {
            (Some(entries), Some(own)) => Place { of: Of::Entry, slot: entries.slot(own) },
            _ => Place { of: Of::Payload, slot: self.tree.slot(path) },
        }
    }

    fn maybe(&mut self, path: &Option<String>) -> Option<Place> {
        path.as_ref().map(|path| self.place(path))
    }

    fn when(&mut self, time: &spec::Time) -> When {
        When { place: self.place(&time.path), unit: time.unit }
    }

    fn maybe_when(&mut self, time: &Option<spec::Time>) -> Option<When> {
        time.as_ref().map(|time| self.when(time))
    }

    fn condition(&mut self, condition: &spec::Match) -> Condition {
        Condition {
            place: self.place(&condition.path),
            equals: words(&condition.equals),
            like: condition.like.clone(),
            absent: condition.absent,
        }
    }

    fn sides(&mut self, side: &spec::Side) -> Sides {
        let untold = !side.sign && side.buy.is_empty() && side.sell.is_empty();
        Sides { place: self.place(&side.path), buy: words(&side.buy), sell: words(&side.sell), sign: side.sign, untold }
    }

    fn rows(&mut self, list: &spec::LevelList) -> Result<Rows, SpecError> {
        let columns = match list.coding {
            Coding::Object => Columns::Keys(words(&list.keys)),
            Coding::Text => Columns::Text,
            _ => Columns::Places,
        };
        let needed = match list.coding {
            Coding::Object | Coding::Sided | Coding::Text => 2,
            _ => 0,
        };
        let wrong = |why: &str| Err(SpecError(format!("level list {}: {why}", list.path)));
        if list.keys.len() < needed {
            return wrong("keys: two are needed");
        }
        if list.path.starts_with('=') {
            return wrong("path: levels cannot be a constant");
        }
        if list.row_id.is_some_and(|place| place > 2) {
            return wrong("row_id: allowed are 0, 1, 2");
        }
        let by_order = matches!(list.coding, Coding::Order | Coding::SignedOrder);
        if by_order && (list.row_id.is_some() || list.skip_zero_price) {
            return wrong("row_id and skip_zero_price are for levels, not for orders");
        }
        let rest = |entry, rows, single| Rows {
            entry,
            list: rows,
            coding: list.coding,
            words: words(&list.keys),
            single,
            row_id: list.row_id,
            skip_zero_price: list.skip_zero_price,
        };
        if list.single {
            let place = self.place(&list.path);
            return Ok(rest(place.of == Of::Entry, 0, Some(place)));
        }
        let (entry, rows) = match (&mut self.entries, list.path.strip_prefix('.')) {
            (Some(entries), Some(own)) => (true, entries.rows(own, columns)),
            _ => (false, self.tree.rows(&list.path, columns)),
        };
        Ok(rest(entry, rows, None))
    }

    fn ids(&mut self, ids: &Option<spec::Ids>) -> Option<Ids> {
        ids.as_ref().map(|ids| Ids {
            last: self.place(&ids.last),
            first: self.maybe(&ids.first),
            previous: self.maybe(&ids.previous),
        })
    }

    fn book(&self, name: &str) -> Result<usize, SpecError> {
        let at = self.books.iter().position(|book| book.name == name);
        at.ok_or_else(|| SpecError(format!("book {name} is not among the mapping's books")))
    }

    fn pick(&mut self, path: &str) -> Result<Pick, SpecError> {
        let Some((array, rest)) = path.split_once('[').filter(|_| !path.starts_with('=')) else {
            return Ok(Pick { place: self.place(path), select: None });
        };
        let wrong = || SpecError(format!("path {path}: a selection is written array[key=value].key"));
        let (condition, key) = rest.split_once("].").ok_or_else(wrong)?;
        let (name, value) = condition.split_once('=').ok_or_else(wrong)?;
        Ok(Pick { place: self.place(array), select: Some((name.into(), value.into(), key.into())) })
    }

    fn maybe_pick(&mut self, path: &Option<String>) -> Result<Option<Pick>, SpecError> {
        path.as_ref().map(|path| self.pick(path)).transpose()
    }

    fn make(&mut self, emit: &Emit) -> Result<Make, SpecError> {
        Ok(match emit {
            Emit::Trade { symbol, price, size, side, time, id, sent, link, exclude, page, block, schema } => {
                if *page && self.entries.is_none() {
                    return Err(SpecError("trade: page: needs the message's each".into()));
                }
                Make::Trade(Box::new(Trade {
                    symbol: self.maybe(symbol),
                    price: self.place(price),
                    size: self.place(size),
                    side: self.sides(side),
                    time: self.when(time),
                    id: self.maybe(id),
                    sent: self.maybe_when(sent),
                    link: *link,
                    exclude: exclude.iter().map(|(why, on)| (why.clone(), self.condition(on))).collect(),
                    page: *page,
                    block: block.as_ref().map(|block| InBlock {
                        number: self.place(&block.number),
                        hash: self.place(&block.hash),
                        index: self.place(&block.index),
                        removed: block.removed.iter().map(|on| self.condition(on)).collect(),
                    }),
                    schema: Schema::parse(schema)?,
                }))
            }
            Emit::Block { number, hash, parent, time } => Make::Block(Box::new(Block {
                number: self.place(number),
                hash: self.place(hash),
                parent: self.place(parent),
                time: self.when(time),
            })),
            Emit::Quote { symbol, bid, bid_size, ask, ask_size, time, sequence, sent, carry, schema } => {
                Make::Quote(Box::new(Quote {
                    symbol: self.maybe(symbol),
                    prices: [self.place(bid), self.place(ask)],
                    sizes: [self.place(bid_size), self.place(ask_size)],
                    time: self.maybe_when(time),
                    sequence: self.maybe(sequence),
                    sent: self.maybe_when(sent),
                    carry: carry.iter().map(|on| self.condition(on)).collect(),
                    remembered: false,
                    schema: Schema::parse(schema)?,
                }))
            }
            Emit::BookLevels { symbol, bids, asks, snapshot, book, time, sent, ids, checksum, sampled, schema } => {
                Make::Levels(Box::new(Levels {
                    symbol: self.maybe(symbol),
                    bids: self.rows(bids)?,
                    asks: asks.as_ref().map(|asks| self.rows(asks)).transpose()?,
                    snapshot: *snapshot,
                    book: self.book(book)?,
                    time: self.maybe_when(time),
                    sent: self.maybe_when(sent),
                    ids: self.ids(ids),
                    checksum: self.maybe(checksum),
                    sampled: *sampled && *snapshot,
                    schema: Schema::parse(schema)?,
                }))
            }
            Emit::BookOrder { symbol, event, book, order_id, price, size, side, time, ids, schema } => {
                if side.as_ref().is_some_and(|side| !side.sign && side.buy.is_empty() && side.sell.is_empty()) {
                    return Err(SpecError(format!("order of book {book}: side: words or a sign must tell it")));
                }
                Make::Order(Box::new(Order {
                    symbol: self.maybe(symbol),
                    event: *event,
                    book: self.book(book)?,
                    order_id: self.maybe(order_id),
                    price: self.maybe(price),
                    size: self.maybe(size),
                    side: side.as_ref().map(|side| self.sides(side)),
                    time: self.maybe_when(time),
                    ids: self.ids(ids),
                    schema: Schema::parse(schema)?,
                }))
            }
            Emit::BookTop { symbol, bids, asks, time, sequence, sampled, schema } => Make::Top(Box::new(Top {
                symbol: self.maybe(symbol),
                bids: self.rows(bids)?,
                asks: self.rows(asks)?,
                time: self.maybe_when(time),
                sequence: self.maybe(sequence),
                sampled: *sampled,
                schema: Schema::parse(schema)?,
            })),
            Emit::Statistics { symbol, time, stats, schema } => Make::Statistics(Box::new(Statistics {
                symbol: self.maybe(symbol),
                time: self.maybe_when(time),
                stats: stats.iter().map(|stat| (stat.kind, self.place(&stat.path), stat.value)).collect(),
                schema: Schema::parse(schema)?,
            })),
            Emit::Bar { symbol, start, open, high, low, close, volume, closed, schema } => Make::Bar(Box::new(Bar {
                symbol: self.maybe(symbol),
                start: self.when(start),
                prices: [self.place(open), self.place(high), self.place(low), self.place(close)],
                volume: self.place(volume),
                closed: closed.iter().map(|on| self.condition(on)).collect(),
                schema: Schema::parse(schema)?,
            })),
            Emit::Instrument(instrument) => Make::Instrument(Box::new(self.instrument(instrument)?)),
        })
    }

    fn instrument(&mut self, from: &spec::Instrument) -> Result<Instrument, SpecError> {
        let class = |word: &str| word.bytes().next().unwrap_or(b'X');
        Ok(Instrument {
            symbol: self.pick(&from.symbol)?,
            prefix: from.prefix.clone(),
            when: from.when.iter().map(|on| self.condition(on)).collect(),
            price_step: self.maybe_pick(&from.price_step)?,
            price_decimals: self.maybe_pick(&from.price_decimals)?,
            size_step: self.maybe_pick(&from.size_step)?,
            size_decimals: self.maybe_pick(&from.size_decimals)?,
            max_size: self.maybe_pick(&from.max_size)?,
            base: self.maybe_pick(&from.base)?,
            quote: self.maybe_pick(&from.quote)?,
            settle: self.maybe_pick(&from.settle)?,
            unit: self.maybe_pick(&from.unit)?,
            kind: self.maybe_pick(&from.kind)?,
            kinds: from.kinds.iter().map(|word| (word.venue.clone(), class(&word.ours))).collect(),
            kind_default: class(&from.kind_default),
            expiry: self.maybe_when(&from.expiry),
            activation: self.maybe_when(&from.activation),
            strike: self.maybe_pick(&from.strike)?,
            multiplier: self.maybe_pick(&from.multiplier)?,
            schema: Schema::parse(&from.schema)?,
        })
    }
}

fn words(words: &[String]) -> Vec<Box<[u8]>> {
    words.iter().map(|word| word.as_bytes().into()).collect()
}

fn instant(text: &str, unbounded: u64) -> Result<u64, SpecError> {
    if text.is_empty() {
        return Ok(unbounded);
    }
    time::instant(text).ok_or_else(|| SpecError(format!("mapping: {text} is not an RFC 3339 time")))
}

/// Compiles the messages of every mapping that `channel` can carry, in the mappings' order.
pub fn programs(meaning: &spec::Meaning, channel: &str) -> Result<Vec<Program>, SpecError> {
    let mut all = Vec::with_capacity(meaning.mappings.len());
    for (index, mapping) in meaning.mappings.iter().enumerate() {
        let mut tree = Tree::default();
        let mut messages = Vec::new();
        let mut constants = Vec::new();
        for message in mapping.messages.iter().filter(|message| glob::matches(&message.channel, channel)) {
            messages.push(
                compile(&mut tree, &mut constants, &mapping.books, message)
                    .map_err(|error| SpecError(format!("message {}: {}", message.name, error.0)))?,
            );
        }
        remember(&mut messages);
        let mut compiler = Compiler { tree: &mut tree, entries: None, constants: &mut constants, books: &[] };
        let counters = mapping.counters.iter().map(|counter| {
            let when = counter.when.iter().map(|on| compiler.condition(on)).collect();
            (compiler.place(&counter.path), when)
        });
        let counters = counters.collect();
        all.push(Program {
            by_channel: by_channel(&messages),
            tree,
            messages,
            counters,
            constants,
            since: instant(&mapping.since, 0)?,
            until: instant(&mapping.until, u64::MAX)?,
            mapping: index,
        });
    }
    if all.windows(2).any(|pair| pair[0].until > pair[1].since) {
        return Err(SpecError("mappings: one begins before the one ahead of it ends".into()));
    }
    Ok(all)
}

/// Where one quote of a channel carries values over, all of them must be remembered.
fn remember(messages: &mut [Message]) {
    let mut quotes: Vec<&mut Box<Quote>> = Vec::new();
    for make in messages.iter_mut().flat_map(|message| &mut message.makes) {
        if let Make::Quote(quote) = make {
            quotes.push(quote);
        }
    }
    if quotes.iter().any(|quote| !quote.carry.is_empty()) {
        quotes.into_iter().for_each(|quote| quote.remembered = true);
    }
}

fn compile(
    tree: &mut Tree,
    constants: &mut Vec<Box<[u8]>>,
    books: &[spec::Book],
    message: &spec::Message,
) -> Result<Message, SpecError> {
    if message.emits.is_empty() == message.excluded.is_empty() {
        return Err(SpecError("either emits or a reason to exclude it".into()));
    }
    let array = message.each.as_ref().map(|path| tree.slot(path));
    let mut compiler = Compiler { tree, entries: None, constants, books };
    let when = message.when.iter().map(|on| compiler.condition(on)).collect();
    compiler.entries = array.map(|_| Tree::default());
    let mut makes = Vec::with_capacity(message.emits.len());
    for emit in &message.emits {
        makes.push(compiler.make(emit)?);
    }
    let each = match (array, compiler.entries) {
        (Some(slot), Some(tree)) => Some(Each { slot, tree }),
        _ => None,
    };
    let page = makes.iter().find_map(|make| match make {
        Make::Trade(trade) if trade.page => {
            Some(match trade.id.filter(|_| trade.link != LinkRule::None || trade.block.is_some()) {
                Some(id) => PageKey::Id(id),
                None => PageKey::Time(trade.time),
            })
        }
        _ => None,
    });
    Ok(Message { name: message.name.clone(), when, each, makes, page, excluded: message.excluded.clone() })
}
