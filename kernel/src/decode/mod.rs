//! Turns frames that are not JSON text into JSON text, as `tapeline/spec/decoding.py` declares it.
//!
//! A format of the kernel's own is a `Hook`: a module here, and its line in `HOOKS`.

mod ethereum;
mod fix_fields;
mod fix_md;
mod inflate;
mod protobuf;
mod uint;

use std::fmt::Debug;

use serde::Deserialize;

use crate::plan::SpecError;

use inflate::Inflate;
use protobuf::Protobuf;

/// Nothing a decoder makes is larger (bytes), unless its spec says so itself.
const LARGEST: usize = 64 << 20;

/// Why a frame could not be decoded; a name from a small set, for counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable(pub &'static str);

/// More than the decoder may make of one frame.
const TOO_LARGE: Undecodable = Undecodable("too_large");

/// A format that data cannot describe; made once for each router and normalizer, and given every frame in turn.
pub trait Hook: Debug + Send + Sync {
    /// Whether frames that are JSON already are its as well; otherwise they never reach it.
    fn reads_json(&self) -> bool {
        false
    }

    /// Appends the JSON text of a frame to `out`, which is empty; false where the frame passes as it is.
    ///
    /// What it makes depends on the frame alone: frames come again, and from several connections.
    fn decode(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<bool, Undecodable>;
}

/// Makes a hook of its parameters, `Hook.parameters` of the spec.
type MakeHook = fn(&[(String, String)]) -> Result<Box<dyn Hook>, SpecError>;

/// The kernel's hooks by name.
const HOOKS: &[(&str, MakeHook)] = &[("ethereum", ethereum::make), ("fix_md", fix_md::make)];

/// `tapeline.spec.decoding.Decoder` as `tapeline.spec.encode` writes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "is")]
pub enum DecoderSpec {
    /// Every frame is compressed by itself.
    Inflate(inflate::InflateSpec),
    /// Every frame is a protobuf message.
    Protobuf(protobuf::ProtobufSpec),
    /// A decoder of the kernel's own.
    Hook(HookSpec),
}

/// A hook's name and parameters.
#[derive(Clone, Debug, Deserialize)]
pub struct HookSpec {
    name: String,
    parameters: Vec<(String, String)>,
}

#[derive(Debug)]
enum Kind {
    Inflate(Inflate),
    Protobuf(Protobuf),
    Hook(Box<dyn Hook>),
}

/// A venue's decoder, with the buffer it decodes into.
#[derive(Debug)]
pub struct Decoder {
    kind: Kind,
    buffer: Vec<u8>,
}

impl Decoder {
    /// Compiles a spec.
    pub fn new(spec: &DecoderSpec) -> Result<Self, SpecError> {
        let kind = match spec {
            DecoderSpec::Inflate(spec) => Kind::Inflate(Inflate::new(spec)),
            DecoderSpec::Protobuf(spec) => Kind::Protobuf(Protobuf::new(spec)?),
            DecoderSpec::Hook(spec) => {
                let made = HOOKS.iter().find(|(name, _)| *name == spec.name);
                let (_, make) = made.ok_or_else(|| SpecError(format!("decoder: no hook is named {:?}", spec.name)))?;
                Kind::Hook(make(&spec.parameters)?)
            }
        };
        Ok(Self { kind, buffer: Vec::new() })
    }

    /// Compiles the JSON of a spec.
    pub fn from_json(spec: &[u8]) -> Result<Self, SpecError> {
        let spec = serde_json::from_slice(spec).map_err(|error| SpecError(format!("decoder: {error}")))?;
        Self::new(&spec)
    }

    /// The JSON text of a frame: in the decoder's buffer until the next call, or the frame itself.
    pub fn decode<'a>(&'a mut self, frame: &'a [u8]) -> Result<&'a [u8], Undecodable> {
        match &mut self.kind {
            Kind::Inflate(inflate) => {
                if inflate.passes(frame) {
                    return Ok(frame);
                }
                let length = inflate.decode(frame, &mut self.buffer)?;
                Ok(&self.buffer[..length])
            }
            Kind::Protobuf(protobuf) => {
                // Groups of field 15 or 11 would begin so; nobody has defined groups since 2008. White space, however,
                // is the tag of a field, so only what JSON begins with right away is told apart.
                if let [b'{' | b'[', ..] = frame {
                    return Ok(frame);
                }
                self.buffer.clear();
                protobuf.decode(frame, &mut self.buffer)?;
                Ok(&self.buffer)
            }
            Kind::Hook(hook) => {
                if begins_json(frame) && !hook.reads_json() {
                    return Ok(frame);
                }
                self.buffer.clear();
                Ok(if hook.decode(frame, &mut self.buffer)? { &self.buffer } else { frame })
            }
        }
    }
}

/// Whether a frame begins as a JSON object, array or string does.
fn begins_json(frame: &[u8]) -> bool {
    let first = frame.iter().find(|byte| !byte.is_ascii_whitespace());
    matches!(first, Some(b'{' | b'[' | b'"'))
}

#[cfg(test)]
mod tests;
