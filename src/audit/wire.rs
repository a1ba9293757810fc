//! Numbered fields in the wire format of Protocol Buffers: two kinds, whole numbers and bytes.
//!
//! Chosen over a format without numbers (postcard) because a node that is rolled back must read what a newer one
//! wrote, and over a crate because two kinds of field in one flat table are these few lines.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Whole(u64),
    Bytes(&'a [u8]),
}

const WHOLE: u64 = 0;
const BYTES: u64 = 2;

/// Appends a whole number as groups of seven bits, the lowest first.
pub fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

pub fn put_whole(out: &mut Vec<u8>, field: u32, number: u64) {
    put_varint(out, (u64::from(field) << 3) | WHOLE);
    put_varint(out, number);
}

pub fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, (u64::from(field) << 3) | BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Takes a whole number off the front.
pub fn take_varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest
            .split_first()
            .ok_or(Malformed("a number that breaks off"))?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed("a number of more than 64 bits"))
}

/// Takes `length` bytes off the front.
pub fn take_bytes<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(length).map_err(|_| Malformed("a length past all bounds"))?;
    let (bytes, after) = rest
        .split_at_checked(length)
        .ok_or(Malformed("a field that breaks off"))?;
    *rest = after;
    Ok(bytes)
}

/// Takes the next field off the front; `None` at the end.
pub fn take<'a>(rest: &mut &'a [u8]) -> Result<Option<(u32, Value<'a>)>, Malformed> {
    if rest.is_empty() {
        return Ok(None);
    }
    let tag = take_varint(rest)?;
    let field = u32::try_from(tag >> 3).map_err(|_| Malformed("a field number past all bounds"))?;
    let value = match tag & 7 {
        WHOLE => Value::Whole(take_varint(rest)?),
        BYTES => {
            let length = take_varint(rest)?;
            Value::Bytes(take_bytes(rest, length)?)
        }
        _ => return Err(Malformed("a field of an unknown kind")),
    };
    Ok(Some((field, value)))
}
