//! BIP-39 seed phrases: twelve to twenty-four words of the published list, with a checksum in the last.

use sha2::{Digest as _, Sha256};

/// The English list of BIP-39, in order; the sorted order is what makes look-up a binary search.
const WORDS: &str = include_str!("seed_phrase.txt");

/// True when every word is in the list and the checksum is right.
pub fn is_bip39(secret: &[u8], _: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(secret) else {
        return false;
    };
    let list: Vec<&str> = WORDS.lines().collect();
    let places = text
        .split(|letter: char| !letter.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
        .map(|word| list.binary_search(&word.to_ascii_lowercase().as_str()).ok());
    let Some(places) = places.collect::<Option<Vec<usize>>>() else {
        return false;
    };
    matches!(places.len(), 12 | 15 | 18 | 21 | 24) && checksum_holds(&places)
}

/// Eleven bits a word; the last bit of every 33 is checksum.
fn checksum_holds(places: &[usize]) -> bool {
    let bits: Vec<bool> = places
        .iter()
        .flat_map(|place| (0..11).rev().map(move |bit| place >> bit & 1 == 1))
        .collect();
    let (entropy, check) = bits.split_at(bits.len() / 33 * 32);
    let bytes: Vec<u8> = entropy
        .chunks(8)
        .map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit)))
        .collect();
    let hash = Sha256::digest(&bytes);
    check
        .iter()
        .enumerate()
        .all(|(place, &bit)| (hash[0] >> (7 - place) & 1 == 1) == bit)
}

/// The phrase of twelve words for sixteen bytes.
#[must_use]
pub fn mnemonic(entropy: &[u8; 16]) -> String {
    let list: Vec<&str> = WORDS.lines().collect();
    let check = Sha256::digest(entropy)[0];
    let bits: Vec<bool> = entropy
        .iter()
        .chain([&check])
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .take(132)
        .collect();
    let place = |word: &[bool]| {
        word.iter()
            .fold(0_usize, |sum, &bit| sum << 1 | usize::from(bit))
    };
    bits.chunks(11)
        .map(|word| list[place(word)])
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_whole_and_sorted() {
        let list: Vec<&str> = WORDS.lines().collect();
        assert_eq!(list.len(), 2048);
        assert!(list.is_sorted());
    }

    #[test]
    fn phrases_need_listed_words_and_a_checksum() {
        let phrase = mnemonic(&[0; 16]);
        assert!(phrase.starts_with("abandon abandon") && phrase.ends_with(" about"));
        assert!(is_bip39(phrase.as_bytes(), b""));
        assert!(!is_bip39(
            phrase.replace("about", "abandon").as_bytes(),
            b""
        ));
        assert!(!is_bip39(
            b"the quick brown fox jumps over the lazy dog and runs away",
            b""
        ));
    }
}
