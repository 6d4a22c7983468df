//! How a message tells which instrument it is about.

use super::{Instrument, Make, Message, Place};

/// Where a message's symbol is.
#[derive(Clone, Copy, Debug)]
pub enum Symbol<'a> {
    /// At this place of the payload.
    At(Place),
    /// In the channel's id.
    Channel,
    /// In an entry of an instrument list.
    Listed(&'a Instrument),
    /// It is about no one instrument.
    None,
}

impl Make {
    /// Where the symbol is of what is made.
    pub fn symbol(&self) -> Symbol<'_> {
        let place = match self {
            Make::Trade(make) => make.symbol,
            Make::Quote(make) => make.symbol,
            Make::Levels(make) => make.symbol,
            Make::Order(make) => make.symbol,
            Make::Top(make) => make.symbol,
            Make::Statistics(make) => make.symbol,
            Make::Bar(make) => make.symbol,
            Make::Block(_) => return Symbol::None,
            Make::Instrument(make) => return Symbol::Listed(make),
        };
        place.map_or(Symbol::Channel, Symbol::At)
    }
}

/// Whether the channel alone tells which instrument messages are about.
pub fn by_channel(messages: &[Message]) -> bool {
    let mut makes = messages.iter().flat_map(|message| &message.makes);
    makes.all(|make| matches!(make.symbol(), Symbol::Channel))
}
