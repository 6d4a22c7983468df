//! What names a raw payload on both instances: the rule of `tapeline.identity.of_payloads`.

use std::borrow::Cow;

use serde::Deserialize;

use crate::json;
use crate::plan::SpecError;

/// The fields a FIX session adds: BeginString, BodyLength, CheckSum, numbers, names and times.
const FIX_SESSION: [&[u8]; 9] = [b"8=", b"9=", b"10=", b"34=", b"43=", b"49=", b"52=", b"56=", b"122="];
const FIX_HOOK: &str = "fix_md";

/// Of a venue's raw payloads.
#[derive(Debug, Clone)]
pub enum Identity {
    /// The content itself.
    Content,
    /// A FIX message without what its session adds.
    Fix,
    /// JSON without what is each connection's own, in the outermost array or object.
    Without {
        /// Keys of an object.
        names: Vec<String>,
        /// Numbers at these places of an array.
        places: Vec<usize>,
    },
}

#[derive(Deserialize)]
struct Routing {
    routes: Vec<Route>,
    #[serde(default)]
    decoder: Option<Decoder>,
}

#[derive(Deserialize)]
struct Route {
    channel: String,
}

#[derive(Deserialize)]
struct Decoder {
    is: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Meaning {
    mappings: Vec<Mapping>,
}

#[derive(Deserialize)]
struct Mapping {
    #[serde(default)]
    counters: Vec<Counter>,
}

#[derive(Deserialize)]
struct Counter {
    path: String,
}

impl Identity {
    /// Of a venue, by its specs (JSON of `tapeline.spec.encode`).
    pub fn new(routing: &[u8], meaning: &[u8]) -> Result<Self, SpecError> {
        let routing: Routing =
            serde_json::from_slice(routing).map_err(|error| SpecError(format!("routing: {error}")))?;
        let meaning: Meaning =
            serde_json::from_slice(meaning).map_err(|error| SpecError(format!("meaning: {error}")))?;
        if routing.decoder.is_some_and(|decoder| decoder.is == "Hook" && decoder.name == FIX_HOOK) {
            return Ok(Self::Fix);
        }
        let learnt = routing.routes.iter().filter_map(|route| {
            let path = route.channel.strip_prefix("{@")?.strip_suffix('}')?;
            Some(path.to_string())
        });
        let counted = meaning.mappings.into_iter().flat_map(|mapping| mapping.counters).map(|counter| counter.path);
        let names: Vec<String> = learnt.chain(counted).collect();
        if names.is_empty() {
            return Ok(Self::Content);
        }
        let places = names.iter().filter_map(|path| path.parse().ok()).collect();
        Ok(Self::Without { names, places })
    }

    /// What names a payload; what is not the JSON it should be is known by its content.
    #[inline]
    pub fn of<'a>(&self, payload: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self {
            Self::Content => return payload,
            Self::Fix => body(payload, scratch),
            Self::Without { names, places } => {
                if without(payload, names, places, scratch).is_err() {
                    return payload;
                }
            }
        }
        scratch
    }
}

fn body(payload: &[u8], out: &mut Vec<u8>) {
    out.clear();
    for field in payload.split_inclusive(|byte| *byte == 1) {
        let ended = field.last() == Some(&1);
        if !(ended && FIX_SESSION.iter().any(|tag| field.starts_with(tag))) {
            out.extend_from_slice(field);
        }
    }
}

fn without(payload: &[u8], names: &[String], places: &[usize], out: &mut Vec<u8>) -> Result<(), json::JsonError> {
    out.clear();
    let mut place = 0;
    let array = payload.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if array && payload[0] != b'[' {
        return Err(json::JsonError::Syntax(0));
    }
    json::members(payload, |name, value| {
        let name = name.map(|name| match name.contains(&b'\\') {
            true => Cow::Owned(json::unescape(name).into_bytes()),
            false => Cow::Borrowed(name),
        });
        let own = match &name {
            Some(name) => names.iter().any(|own| *own.as_bytes() == **name),
            None => places.contains(&place) && value.iter().all(u8::is_ascii_digit),
        };
        place += 1;
        if own {
            return;
        }
        if !out.is_empty() {
            out.push(b',');
        }
        if let Some(name) = name {
            out.extend_from_slice(&name);
            out.push(b':');
        }
        out.extend_from_slice(value);
    })
}
