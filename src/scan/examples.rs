//! Turns an example's template into text that looks like the real thing, so that no token stands in a rule file.
//!
//! `{alnum:36}` is 36 random letters and digits, `{hex:8-16}` a random number of them, `«…»` marks the secret,
//! `{{` and `}}` are braces. The same template and seed give the same text. It knows formats, never rules.

pub(super) mod dice;
mod made;
mod money;

use std::ops::Range;

use dice::Dice;

/// A template, filled in. `secret` is the place of what stood between `«` and `»`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub text: String,
    pub secret: Option<Range<usize>>,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("`{{` without `}}`; write `{{{{` for a brace")]
    Unclosed,
    #[error("unknown placeholder `{{{0}}}`")]
    Unknown(String),
    #[error("`{{{0}}}` needs a count such as `{{alnum:20}}` or `{{alnum:20-24}}`, at most 4096")]
    Count(String),
    #[error("`«` and `»` must stand once each, in this order")]
    Marks,
    #[error("nothing of the shape `{{{0}}}` was accepted by its validator")]
    NeverValid(String),
}

/// Fills in `template` with what `seed` rolls.
pub fn expand(template: &str, seed: u64) -> Result<Example, TemplateError> {
    let mut dice = Dice::new(seed);
    let (mut text, mut from, mut to) = (String::new(), None, None);
    let mut rest = template;
    while let Some(letter) = rest.chars().next() {
        let after = &rest[letter.len_utf8()..];
        rest = match letter {
            '{' if after.starts_with('{') => push(&mut text, '{', &after[1..]),
            '}' if after.starts_with('}') => push(&mut text, '}', &after[1..]),
            '{' => {
                let (inside, after) = after.split_once('}').ok_or(TemplateError::Unclosed)?;
                let made = fill(inside, &text, &mut dice)?;
                text.push_str(&made);
                after
            }
            '«' if from.is_none() => mark(&mut from, text.len(), after),
            '»' if from.is_some() && to.is_none() => mark(&mut to, text.len(), after),
            '«' | '»' => return Err(TemplateError::Marks),
            other => push(&mut text, other, after),
        };
    }
    let secret = match (from, to) {
        (Some(from), Some(to)) => Some(from..to),
        (None, None) => None,
        _ => return Err(TemplateError::Marks),
    };
    Ok(Example { text, secret })
}

fn push<'a>(text: &mut String, letter: char, after: &'a str) -> &'a str {
    text.push(letter);
    after
}

fn mark<'a>(place: &mut Option<usize>, at: usize, after: &'a str) -> &'a str {
    *place = Some(at);
    after
}

/// What one placeholder becomes; `before` is the text so far, for checksums.
fn fill(inside: &str, before: &str, dice: &mut Dice) -> Result<String, TemplateError> {
    let (name, argument) = inside.split_once(':').unwrap_or((inside, ""));
    if let Some(alphabet) = dice::alphabet(name) {
        let count = count(argument, dice).ok_or_else(|| TemplateError::Count(inside.to_owned()))?;
        return Ok(dice.text(alphabet, count));
    }
    match name {
        "word" => Ok(made::word(dice).to_owned()),
        "words" => {
            let count = count(argument, dice).ok_or_else(|| TemplateError::Count(inside.into()))?;
            Ok((0..count)
                .map(|_| made::word(dice))
                .collect::<Vec<_>>()
                .join(" "))
        }
        "crc" => Ok(made::checksum_of(before)),
        "uuid" => Ok(made::uuid(dice)),
        "jwt" => Ok(made::jwt(dice)),
        "pem" => Ok(made::pem(argument, "\n", dice)),
        "pem_escaped" => Ok(made::pem(argument, "\\n", dice)),
        "password" => Ok(made::password(dice)),
        "base64" => Ok(made::base64(argument)),
        "iban" => Ok(money::iban(argument, dice)),
        "bitcoin" => Ok(money::bitcoin(dice)),
        "tron" => Ok(money::tron(dice)),
        "wif" => Ok(money::wif(dice)),
        "bech32" => Ok(money::bech32(argument, dice)),
        "ethereum" => Ok(money::ethereum(dice)),
        "seed" => Ok(money::seed_phrase(dice)),
        "valid" => {
            made::valid(argument, dice).ok_or_else(|| TemplateError::NeverValid(inside.to_owned()))
        }
        _ => Err(TemplateError::Unknown(inside.to_owned())),
    }
}

/// `20` or `20-24`.
fn count(argument: &str, dice: &mut Dice) -> Option<usize> {
    let (low, high) = argument.split_once('-').unwrap_or((argument, argument));
    let (low, high) = (low.parse().ok()?, high.parse().ok()?);
    (low <= high && high <= 4096).then(|| dice.between(low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_text_and_another_seed_another() {
        let template = "token = «tok_{alnum:20}»;";
        assert_eq!(expand(template, 7), expand(template, 7));
        assert_ne!(expand(template, 7), expand(template, 8));
    }

    #[test]
    fn marks_give_the_place_of_the_secret() {
        let example = expand("a{{b}} «x_{hex:8-12}» c", 3).unwrap();
        let secret = example.secret.unwrap();
        assert!(example.text.starts_with("a{b} x_"));
        assert!(example.text[secret].starts_with("x_"));
        assert!(example.text.ends_with(" c"));
    }

    #[test]
    fn a_broken_template_says_what_is_wrong() {
        assert_eq!(expand("{alnum:3", 1), Err(TemplateError::Unclosed));
        assert_eq!(
            expand("{nothing:3}", 1),
            Err(TemplateError::Unknown("nothing:3".into()))
        );
        assert_eq!(expand("{hex}", 1), Err(TemplateError::Count("hex".into())));
        assert_eq!(
            expand("{hex:9-3}", 1),
            Err(TemplateError::Count("hex:9-3".into()))
        );
        assert_eq!(expand("»a«", 1), Err(TemplateError::Marks));
        assert_eq!(expand("«a", 1), Err(TemplateError::Marks));
    }
}
