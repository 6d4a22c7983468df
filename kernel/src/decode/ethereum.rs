//! Ethereum JSON-RPC as the spec languages read it: logs of Uniswap pools as swaps with decimal prices, heads with decimal numbers.
//!
//! A frame that holds logs or a head (a push of `eth_subscribe`, an answer of `eth_getLogs`, a line of ethereum-etl) becomes an
//! object with what it had of `method`, `params.subscription` and `id`, and
//! - `kind`: `head`, or of logs `swaps` (of pools that are parameters), `elsewhere` (a swap of another pool), `other` (no swap) or
//!   `none` (an answer without logs); an answer has `result` `"logs"` too, a line of ethereum-etl `form` `"etl"`;
//! - of one log `pool`, its address, and `cursor`, the block from which to ask again after it (hexadecimal, `overlap` blocks back);
//! - of a head `number`, `hash`, `parent`, `time`;
//! - `swaps`, whose `price` is quote for base, token1 for token0, exact to the pool's `price_decimals` and one further digit that tells
//!   how to round, and whose `size` is of token0, likewise; `odd` says why one has no price.
//!
//! Anything else passes as it is. Numbers of 256 bits are never cut and no float is involved.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::uint::{Signed, Uint};
use super::{Hook, Undecodable};
use crate::plan::SpecError;

const SWAP_V2: &str = "0xd78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822";
const SWAP_V3: &str = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67";
/// Tokens with more decimals are none that anybody trades; bounds what a price is scaled by.
const MOST_DECIMALS: u32 = 36;

/// The two forms of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V2,
    V3,
}

/// A pool, as the spec describes it.
#[derive(Clone, Debug)]
struct Pool {
    version: Version,
    symbol: String,
    base: String,
    quote: String,
    decimals: [u32; 2],
    price_decimals: u32,
    size_decimals: u32,
}

/// The hook `ethereum`.
#[derive(Clone, Debug, Default)]
pub struct Ethereum {
    pools: HashMap<String, Pool>,
    overlap: u64,
}

/// A frame of any kind; what is not known is skipped.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<Params<'a>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    subscription: Option<Cow<'a, str>>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

/// A log, as nodes or ethereum-etl write it.
#[derive(Deserialize)]
struct Log<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    topics: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow, alias = "block_number", rename = "blockNumber")]
    number: Quantity<'a>,
    #[serde(borrow, alias = "block_hash", rename = "blockHash")]
    hash: Cow<'a, str>,
    #[serde(borrow, alias = "log_index", rename = "logIndex")]
    index: Quantity<'a>,
    #[serde(borrow, alias = "block_timestamp", rename = "blockTimestamp")]
    time: Option<Quantity<'a>>,
    #[serde(borrow, alias = "transaction_hash", rename = "transactionHash")]
    transaction: Option<Cow<'a, str>>,
    #[serde(default)]
    removed: bool,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    number: Quantity<'a>,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(borrow, rename = "parentHash")]
    parent: Cow<'a, str>,
    #[serde(borrow, rename = "timestamp")]
    time: Quantity<'a>,
}

/// A number in hexadecimal text, or a plain one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Quantity<'a> {
    Plain(u64),
    #[serde(borrow)]
    Text(Cow<'a, str>),
}

impl Quantity<'_> {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Plain(value) => Some(*value),
            Self::Text(text) => {
                let digits = text.strip_prefix("0x")?;
                if digits.starts_with('+') {
                    return None;
                }
                u64::from_str_radix(digits, 16).ok()
            }
        }
    }
}

/// Makes the hook. Parameters: `overlap`, a number of blocks, and for each pool its address with
/// `v2|v3 SYMBOL BASE DECIMALS QUOTE DECIMALS PRICE_DECIMALS SIZE_DECIMALS`.
pub fn make(parameters: &[(String, String)]) -> Result<Box<dyn Hook>, SpecError> {
    let mut made = Ethereum::default();
    for (name, value) in parameters {
        let wrong = |why: &str| SpecError(format!("ethereum: {name} {value:?}: {why}"));
        if name == "overlap" {
            made.overlap = value.parse().map_err(|_| wrong("is no number of blocks"))?;
            continue;
        }
        if !is_hex(name, 40) {
            return Err(wrong("is neither overlap nor a pool's address in lower case"));
        }
        let pool = Pool::read(value).ok_or_else(|| wrong("does not describe a pool"))?;
        if made.pools.insert(name.clone(), pool).is_some() {
            return Err(wrong("comes twice"));
        }
    }
    Ok(Box::new(made))
}

impl Pool {
    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [version, symbol, base, base_decimals, quote, quote_decimals, price_decimals, size_decimals] = words[..]
        else {
            return None;
        };
        let version = match version {
            "v2" => Version::V2,
            "v3" => Version::V3,
            _ => return None,
        };
        let plain = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        };
        let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number <= MOST_DECIMALS);
        let made = Self {
            version,
            symbol: symbol.into(),
            base: base.into(),
            quote: quote.into(),
            decimals: [number(base_decimals)?, number(quote_decimals)?],
            price_decimals: number(price_decimals)?,
            size_decimals: number(size_decimals)?,
        };
        // Fewer digits than the smallest unit of the quote has would need a division of what is multiplied here.
        let enough = made.price_decimals + 1 + made.decimals[0] >= made.decimals[1];
        let sized = made.size_decimals <= made.decimals[0];
        (enough && sized && [symbol, base, quote].into_iter().all(plain)).then_some(made)
    }
}

impl Hook for Ethereum {
    fn reads_json(&self) -> bool {
        true
    }

    fn decode(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<bool, Undecodable> {
        // What is no JSON, or not of this form, is for whoever reads it next to refuse.
        let Ok(message) = serde_json::from_slice::<Frame<'_>>(frame) else { return Ok(false) };
        if message.method.as_deref() == Some("eth_subscription") {
            let Some(Params { subscription: Some(subscription), result: Some(result) }) = message.params else {
                return Ok(false);
            };
            if !plain(&subscription) {
                return Ok(false);
            }
            let opening =
                format!("{{\"method\":\"eth_subscription\",\"params\":{{\"subscription\":\"{subscription}\"}}");
            if let Ok(log) = serde_json::from_str::<Log<'_>>(result.get()) {
                out.extend_from_slice(opening.as_bytes());
                self.one(&log, out)?;
            } else if let Ok(head) = serde_json::from_str::<Head<'_>>(result.get()) {
                out.extend_from_slice(opening.as_bytes());
                write_head(&head, out)?;
            } else {
                return Ok(false);
            }
        } else if let (Some(id), Some(result)) = (message.id, message.result) {
            if !result.get().starts_with('[') {
                return Ok(false);
            }
            let Ok(logs) = serde_json::from_str::<Vec<Log<'_>>>(result.get()) else { return Ok(false) };
            out.extend_from_slice(format!("{{\"id\":{},\"result\":\"logs\"", id.get()).as_bytes());
            self.page(&logs, out)?;
        } else {
            let Ok(log) = serde_json::from_slice::<Log<'_>>(frame) else { return Ok(false) };
            out.extend_from_slice(b"{\"form\":\"etl\"");
            self.one(&log, out)?;
        }
        out.push(b'}');
        Ok(true)
    }
}

impl Ethereum {
    /// A log by itself.
    fn one(&self, log: &Log<'_>, out: &mut Vec<u8>) -> Result<(), Undecodable> {
        let (pool, block) = (address(log)?, quantity(&log.number)?);
        let from = block.saturating_sub(self.overlap);
        out.extend_from_slice(format!(",\"pool\":\"{pool}\",\"cursor\":\"{from:#x}\"").as_bytes());
        self.page(std::slice::from_ref(log), out)
    }

    /// What logs come to.
    fn page(&self, logs: &[Log<'_>], out: &mut Vec<u8>) -> Result<(), Undecodable> {
        let mut kind = "none";
        let mut swaps = Vec::new();
        for log in logs {
            match (version(log), self.pools.get(&address(log)?)) {
                (Some(version), Some(pool)) if version == pool.version => {
                    if !swaps.is_empty() {
                        swaps.push(b',');
                    }
                    write_swap(log, pool, &mut swaps)?;
                    kind = "swaps";
                }
                (Some(_), _) if kind != "swaps" => kind = "elsewhere",
                (None, _) if kind == "none" => kind = "other",
                _ => {}
            }
        }
        out.extend_from_slice(format!(",\"kind\":\"{kind}\",\"swaps\":[").as_bytes());
        out.extend_from_slice(&swaps);
        out.push(b']');
        Ok(())
    }
}

fn write_head(head: &Head<'_>, out: &mut Vec<u8>) -> Result<(), Undecodable> {
    if !is_hex(&head.hash, 64) || !is_hex(&head.parent, 64) {
        return Err(Undecodable("bad_hash"));
    }
    let (number, time) = (quantity(&head.number)?, quantity(&head.time)?);
    let text = format!(
        ",\"kind\":\"head\",\"number\":{number},\"hash\":\"{}\",\"parent\":\"{}\",\"time\":{time}",
        head.hash, head.parent
    );
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn write_swap(log: &Log<'_>, pool: &Pool, out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let [amount0, amount1] = amounts(log, pool.version)?;
    let (number, index) = (quantity(&log.number)?, quantity(&log.index)?);
    if !is_hex(&log.hash, 64) || log.transaction.as_deref().is_some_and(|hash| !is_hex(hash, 64)) {
        return Err(Undecodable("bad_hash"));
    }
    // The low 32 bits tell blocks of one number apart too, since they are what a record has room for.
    let tail = u64::from_str_radix(&log.hash[log.hash.len() - 5..], 16).map_err(|_| Undecodable("bad_hash"))?;
    let id = (number & u64::from(u32::MAX)) << 32 | (tail << 12) | (index & 0xfff);
    let text = format!(
        "{{\"symbol\":\"{}\",\"base\":\"{}\",\"quote\":\"{}\",\"price_decimals\":{},\"size_decimals\":{},\"id\":{id},\
         \"number\":{number},\"hash\":\"{}\",\"index\":{index},\"removed\":{}",
        pool.symbol, pool.base, pool.quote, pool.price_decimals, pool.size_decimals, log.hash, log.removed
    );
    out.extend_from_slice(text.as_bytes());
    if let Some(hash) = &log.transaction {
        out.extend_from_slice(format!(",\"transaction\":\"{hash}\"").as_bytes());
    }
    if let Some(time) = &log.time {
        out.extend_from_slice(format!(",\"time\":{}", quantity(time)?).as_bytes());
    }
    let odd = if amount0.magnitude.is_zero() || amount1.magnitude.is_zero() {
        "swap of nothing"
    } else if amount0.negative == amount1.negative {
        "swap without a counterpart"
    } else {
        ""
    };
    if odd.is_empty() {
        let [base, quote] = pool.decimals;
        let digits = pool.price_decimals + 1;
        let price = amount1.magnitude.quotient(&amount0.magnitude, digits + base - quote, digits);
        let one = Uint::ten_to(base).ok_or(Undecodable("bad_amount"))?;
        let digits = pool.size_decimals + 1;
        let size = amount0.magnitude.quotient(&one, digits, digits);
        let side = if amount0.negative { "buy" } else { "sell" };
        out.extend_from_slice(format!(",\"price\":\"{price}\",\"size\":\"{size}\",\"side\":\"{side}\"").as_bytes());
    } else {
        out.extend_from_slice(format!(",\"odd\":\"{odd}\"").as_bytes());
    }
    out.push(b'}');
    Ok(())
}

/// What the pool gained (or lost) of its tokens.
fn amounts(log: &Log<'_>, version: Version) -> Result<[Signed; 2], Undecodable> {
    let words = words(&log.data).ok_or(Undecodable("bad_swap"))?;
    match (version, &words[..]) {
        (Version::V2, [in0, in1, out0, out1]) => Ok([Signed::difference(in0, out0), Signed::difference(in1, out1)]),
        (Version::V3, [amount0, amount1, _, _, _]) => Ok([Signed::of(amount0), Signed::of(amount1)]),
        _ => Err(Undecodable("bad_swap")),
    }
}

/// The words of a log's data; `None` where it is not whole words in hexadecimal, or more than any swap has.
fn words(data: &str) -> Option<Vec<Uint>> {
    let digits = data.strip_prefix("0x")?.as_bytes();
    if digits.len() % 64 != 0 || digits.len() > 5 * 64 {
        return None;
    }
    digits.chunks_exact(64).map(Uint::from_hex).collect()
}

fn version(log: &Log<'_>) -> Option<Version> {
    match log.topics.first()?.as_ref() {
        SWAP_V2 => Some(Version::V2),
        SWAP_V3 => Some(Version::V3),
        _ => None,
    }
}

fn address(log: &Log<'_>) -> Result<String, Undecodable> {
    let text = log.address.to_ascii_lowercase();
    if is_hex(&text, 40) {
        Ok(text)
    } else {
        Err(Undecodable("bad_address"))
    }
}

fn quantity(quantity: &Quantity<'_>) -> Result<u64, Undecodable> {
    quantity.value().ok_or(Undecodable("bad_quantity"))
}

fn is_hex(text: &str, digits: usize) -> bool {
    let rest = text.strip_prefix("0x").unwrap_or("");
    rest.len() == digits && rest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
}

#[cfg(test)]
#[path = "ethereum_tests.rs"]
mod tests;
