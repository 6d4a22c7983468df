//! Splits a FIX message into its fields, after its BodyLength and CheckSum have been proved.

use memchr::memchr;

/// Ends a field.
const SOH: u8 = 1;
/// `10=nnn` and its SOH.
const TRAILER: usize = 7;

/// A tag and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The tag's number.
    pub tag: u32,
    /// What stands after `=`, without the SOH.
    pub value: &'a [u8],
}

/// The fields of a whole message between BodyLength and CheckSum; fails where the frame does not prove itself.
pub fn fields(frame: &[u8]) -> Result<Fields<'_>, &'static str> {
    let begin = frame.strip_prefix(b"8=FIX").ok_or("fix_begin")?;
    let version = memchr(SOH, begin).ok_or("fix_begin")?;
    let length = begin[version + 1..].strip_prefix(b"9=").ok_or("fix_length")?;
    let digits = memchr(SOH, length).ok_or("fix_length")?;
    let declared = number(&length[..digits]).ok_or("fix_length")?;
    let body = &length[digits + 1..];
    let declared = usize::try_from(declared).map_err(|_| "fix_length")?;
    if body.len() != declared.saturating_add(TRAILER) || declared == 0 || body[declared - 1] != SOH {
        return Err("fix_length");
    }
    let (body, trailer) = body.split_at(declared);
    let sum = trailer.strip_prefix(b"10=").and_then(|rest| rest.strip_suffix(&[SOH])).ok_or("fix_checksum")?;
    let counted = frame[..frame.len() - TRAILER].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if number(sum) != Some(u64::from(counted)) {
        return Err("fix_checksum");
    }
    Ok(Fields { rest: body, data: None })
}

/// The version in `8`, of a frame that `fields` has taken.
pub fn version(frame: &[u8]) -> &[u8] {
    let value = frame.get(2..).unwrap_or_default();
    &value[..memchr(SOH, value).unwrap_or(value.len())]
}

/// A count or id; `None` for anything but up to 19 digits.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then(|| value * 10 + u64::from(digit))
    })
}

/// Iterates over fields; an error is the last item.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// The tag and length of the data field that must come next.
    data: Option<(u32, usize)>,
}

impl<'a> Fields<'a> {
    fn take(&mut self) -> Result<Field<'a>, &'static str> {
        let equals = memchr(b'=', self.rest).ok_or("fix_field")?;
        let tag = number(&self.rest[..equals]).and_then(|tag| u32::try_from(tag).ok()).ok_or("fix_tag")?;
        let value = &self.rest[equals + 1..];
        let length = match self.data.take() {
            // A data field may hold any byte, SOH too: its length was told by the field before it.
            Some((expected, length)) if expected == tag => length,
            _ => memchr(SOH, value).ok_or("fix_field")?,
        };
        if length == 0 || value.get(length) != Some(&SOH) {
            return Err("fix_field");
        }
        let (value, rest) = value.split_at(length);
        self.rest = &rest[1..];
        if let Some(data) = data_of(tag) {
            let length = number(value).and_then(|length| usize::try_from(length).ok()).ok_or("fix_field")?;
            self.data = (length > 0).then_some((data, length));
        }
        Ok(Field { tag, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}

/// The data field whose length a tag of FIX 4.2 to 4.4 tells.
fn data_of(tag: u32) -> Option<u32> {
    match tag {
        90 | 95 | 212 | 348 | 350 | 352 | 354 | 356 | 358 | 360 | 362 | 364 | 445 | 618 | 621 => Some(tag + 1),
        93 => Some(89),
        _ => None,
    }
}
