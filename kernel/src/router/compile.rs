//! Reads a `Routing` of `tapeline/spec/routing.py` and compiles its routes.

use serde::Deserialize;

use super::{Condition, Piece, Route};
use crate::decode::DecoderSpec;
use crate::json::Tree;
use crate::plan::SpecError;

/// Endpoints that routes may tell apart.
const MAX_ENDPOINTS: usize = 64;

#[derive(Debug, Deserialize)]
pub struct RoutingSpec {
    pub routes: Vec<RouteSpec>,
    pub schemas: Vec<SchemaSpec>,
    pub decoder: Option<DecoderSpec>,
}

#[derive(Debug, Deserialize)]
pub struct RouteSpec {
    channel: String,
    when: Vec<MatchSpec>,
    words: Vec<(String, String)>,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    cursor: String,
}

#[derive(Debug, Deserialize)]
struct MatchSpec {
    path: String,
    equals: Vec<String>,
    absent: bool,
    #[serde(default)]
    like: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct SchemaSpec {
    pub glob: String,
    pub schema: String,
}

/// Compiles a route; names of endpoints are added to `endpoints`, whose places are bits of `Route.endpoints`.
pub fn compile(tree: &mut Tree, endpoints: &mut Vec<String>, spec: &RouteSpec) -> Result<Route, SpecError> {
    let (pieces, by_key) = match key(&spec.channel)? {
        Some(path) => (vec![Piece::Slot(tree.slot(path))], true),
        None => (pieces(tree, &spec.channel)?, false),
    };
    let when: Vec<Condition> = spec
        .when
        .iter()
        .map(|on| Condition {
            slot: tree.slot(&on.path),
            equals: on.equals.iter().map(|word| word.as_bytes().into()).collect(),
            like: on.like.clone().into(),
            any: on.equals.is_empty() && on.like.is_empty(),
            absent: on.absent,
        })
        .collect();
    let cursor = if spec.cursor.is_empty() { None } else { Some(tree.slot(&spec.cursor)) };
    let named = pieces.iter().filter_map(|piece| match piece {
        Piece::Slot(slot) => Some(*slot),
        Piece::Literal(_) => None,
    });
    let required = named.chain(when.iter().filter(|on| !on.absent).map(|on| on.slot)).chain(cursor);
    let goal = required.fold(0, |goal, slot| goal | 1u64.checked_shl(u32::from(slot)).unwrap_or(0));
    let words = spec.words.iter().map(|(from, to)| (from.as_bytes().into(), to.clone())).collect();
    let mut bits = 0;
    for name in &spec.endpoints {
        let place = endpoints.iter().position(|known| known == name).unwrap_or_else(|| {
            endpoints.push(name.clone());
            endpoints.len() - 1
        });
        if place >= MAX_ENDPOINTS {
            return Err(SpecError(format!("endpoint {name:?}: more than {MAX_ENDPOINTS} are named")));
        }
        bits |= 1 << place;
    }
    Ok(Route { pieces, by_key, when, words, endpoints: bits, cursor, goal })
}

/// The path of a template that is a learned key.
fn key(template: &str) -> Result<Option<&str>, SpecError> {
    let alone = template.strip_prefix("{@").and_then(|rest| rest.strip_suffix('}'));
    match alone {
        Some(path) if !path.is_empty() && !path.contains(['{', '}', '@']) => Ok(Some(path)),
        None if !template.contains("{@") => Ok(None),
        _ => Err(SpecError(format!("channel {template:?}: a key stands alone, with its path"))),
    }
}

/// Splits a template into literals and the slots of its paths.
fn pieces(tree: &mut Tree, template: &str) -> Result<Vec<Piece>, SpecError> {
    let wrong = |what: &str| SpecError(format!("channel {template:?}: {what}"));
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((literal, after)) = rest.split_once('{') {
        let (path, after) = after.split_once('}').ok_or_else(|| wrong("a brace is not closed"))?;
        if path.is_empty() || path.contains('{') || literal.contains('}') {
            return Err(wrong("braces hold one path each"));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        pieces.push(Piece::Slot(tree.slot(path)));
        rest = after;
    }
    if rest.contains('}') {
        return Err(wrong("a brace is not opened"));
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    if pieces.is_empty() {
        return Err(wrong("it is empty"));
    }
    Ok(pieces)
}
