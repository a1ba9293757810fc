//! The stand-ins for secrets: `TG_github_token_K7Q2…`, of letters, digits and underscores only, so that they come through
//! JSON, URLs, shells, HTML and code as they are.

use hmac::{Hmac, Mac};
use memchr::memmem;
use sha2::Sha256;

use crate::domain::{Category, Name, Secret};
use crate::keyed;

/// What every placeholder begins with.
pub const PREFIX: &[u8] = b"TG_";
/// Characters of the part that tells one secret from another: 80 bits.
const SUFFIX: usize = 16;
/// The longest placeholder: prefix, a category of 40 characters, `_`, suffix.
pub const LONGEST: usize = PREFIX.len() + 40 + 1 + SUFFIX;
/// RFC 4648: upper-case letters and the digits that look like none of them.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Makes placeholders for one organisation. The same text always gets the same one, on every node and in every turn of a
/// conversation, so the provider's prompt cache keeps hitting; without the key nothing about the text can be tested.
pub struct Placeholders {
    mac: Hmac<Sha256>,
}

impl Placeholders {
    /// Under the installation's key, apart for every organisation.
    #[must_use]
    pub fn new(key: &Secret<[u8; 32]>, organisation: &Name) -> Self {
        let mut mac = keyed::mac(key);
        mac.update(b"tollgate placeholder v1\0");
        // A name holds no zero byte, so what follows cannot be taken for a part of it.
        mac.update(organisation.as_str().as_bytes());
        mac.update(b"\0");
        Self { mac }
    }

    /// The placeholder of a text that was found as this category.
    #[must_use]
    pub fn of(&self, category: &Category, text: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(category.as_str().as_bytes());
        mac.update(b"\0");
        mac.update(text.as_bytes());
        let tag = mac.finalize().into_bytes();
        let mut placeholder = format!("TG_{}_", category.as_str());
        placeholder.extend(base32(&tag));
        placeholder
    }
}

/// The first [`SUFFIX`] base32 digits of a tag.
fn base32(tag: &[u8]) -> impl Iterator<Item = char> + '_ {
    (0..SUFFIX).map(|digit| {
        let bit = digit * 5;
        let pair = u16::from_be_bytes([tag[bit / 8], tag[bit / 8 + 1]]);
        let index = usize::from(pair >> (11 - bit % 8) & 31);
        char::from(BASE32[index])
    })
}

/// The length of the placeholder, of whomever, that `text` begins with.
#[must_use]
pub fn length_at(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(PREFIX)?;
    let category = rest
        .iter()
        .take(41)
        .take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || **b == b'_')
        .count();
    // The category's last digits could be the suffix's first: the suffix begins after the last underscore.
    let underscore = rest[..category].iter().rposition(|b| *b == b'_')?;
    let suffix = rest.get(underscore + 1..underscore + 1 + SUFFIX)?;
    let fits = underscore > 0 && suffix.iter().all(|b| BASE32.contains(b));
    fits.then_some(PREFIX.len() + underscore + 1 + SUFFIX)
}

/// Every placeholder, of whomever, in a text.
pub fn each_in(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    memmem::find_iter(text, PREFIX)
        .filter_map(|at| text.get(at..))
        .filter_map(|rest| rest.get(..length_at(rest)?))
}

/// What a placeholder says that it stands for.
#[must_use]
pub fn category_of(placeholder: &[u8]) -> Option<Category> {
    let end = length_at(placeholder)?.checked_sub(SUFFIX + 1)?;
    let name = placeholder.get(PREFIX.len()..end)?;
    Some(Category::new(std::str::from_utf8(name).ok()?))
}

/// Whether a text is a placeholder and nothing else: then it is no secret, whatever a rule says.
#[must_use]
pub fn is_placeholder(text: &[u8]) -> bool {
    length_at(text) == Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placeholders(key: u8, organisation: &str) -> Placeholders {
        Placeholders::new(&Secret::new([key; 32]), &Name::new(organisation))
    }

    #[test]
    fn a_placeholder_depends_on_key_organisation_category_and_text_and_on_nothing_else() {
        let token = Category::new("github_token");
        let one = placeholders(1, "acme").of(&token, "a secret");
        assert_eq!(one, placeholders(1, "acme").of(&token, "a secret"));
        assert_ne!(one, placeholders(2, "acme").of(&token, "a secret"));
        assert_ne!(one, placeholders(1, "acne").of(&token, "a secret"));
        assert_ne!(one, placeholders(1, "acme").of(&token, "a secrets"));
        let other = placeholders(1, "acme").of(&Category::new("jwt"), "a secret");
        assert_ne!(one[one.len() - SUFFIX..], other[other.len() - SUFFIX..]);
        assert!(one.starts_with("TG_github_token_") && one.len() == 16 + SUFFIX);
        assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    }

    #[test]
    fn placeholders_in_a_text_are_found_with_what_they_stand_for() {
        let of = |category| placeholders(7, "acme").of(&Category::new(category), "text");
        let (one, other) = (of("a_b2"), of("jwt"));
        let text = format!("TG_ {one}{other} TG_TG_x {other}.");
        let found: Vec<_> = each_in(text.as_bytes()).collect();
        assert_eq!(found, [&one, &other, &other].map(String::as_bytes));
        assert_eq!(category_of(found[0]), Some(Category::new("a_b2")));
        assert_eq!(category_of(b"TG_x"), None);
    }

    #[test]
    fn a_placeholder_is_known_by_its_shape() {
        for category in ["x", "a_b", "key2", "a23", &"c".repeat(40), "a__"] {
            for text in 0..50u8 {
                let one = placeholders(7, "acme").of(&Category::new(category), &text.to_string());
                assert!(one.len() <= LONGEST);
                assert!(is_placeholder(one.as_bytes()), "{one}");
                assert_eq!(length_at(format!("{one}more").as_bytes()), Some(one.len()));
                assert_eq!(length_at(&one.as_bytes()[..one.len() - 1]), None);
            }
        }
        for text in [
            "",
            "TG_",
            "TG__AAAAAAAAAAAAAAAA",
            "TG_A_AAAAAAAAAAAAAAAA",
            "TG_a_AAAAAAAAAAAAAAA1",
        ] {
            assert_eq!(length_at(text.as_bytes()), None, "{text}");
        }
    }
}
