//! The forms in which a model's name may be written without naming another model.

/// Other forms of a name to look up, most exact first. Only whole, known affixes are taken off; nothing is ever matched by
/// a part of a name.
pub(super) fn forms<'a>(provider: &'a str, model: &'a str) -> impl Iterator<Item = &'a str> {
    let prefixed = model
        .split_once('/')
        .filter(|(prefix, _)| *prefix == provider || *prefix == "models")
        .map(|(_, rest)| rest);
    let plain = prefixed.unwrap_or(model);
    let tuned = tuned(plain);
    [
        prefixed,
        tuned,
        tuned.and_then(undated),
        undated(plain),
        plain.strip_suffix("-latest"),
    ]
    .into_iter()
    .flatten()
}

/// `ft:gpt-4o:acme::id` is priced as `ft:gpt-4o`.
fn tuned(model: &str) -> Option<&str> {
    let rest = model.strip_prefix("ft:")?;
    let end = rest.find(':')?;
    Some(&model[..end + 3])
}

/// A name without its date: `-20250929`, `-2025-09-29` or `@20250929`.
fn undated(model: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let is_date = |year: &str, month: &str, day: &str| {
        let within = |text: &str, most: u32| {
            digits(text) && text.parse().is_ok_and(|n: u32| (1..=most).contains(&n))
        };
        digits(year) && year.starts_with("20") && within(month, 12) && within(day, 31)
    };
    if let Some((name, date)) = split_end(model, 9)
        && date.starts_with(['-', '@'])
        && digits(&date[1..])
        && is_date(&date[1..5], &date[5..7], &date[7..])
    {
        return Some(name);
    }
    let (name, date) = split_end(model, 11)?;
    let mut parts = date.strip_prefix('-')?.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    (year.len() == 4 && month.len() == 2 && is_date(year, month, day)).then_some(name)
}

/// Splits off the last `length` bytes of a longer name.
fn split_end(model: &str, length: usize) -> Option<(&str, &str)> {
    let at = model.len().checked_sub(length).filter(|at| *at > 0)?;
    model.is_ascii().then(|| model.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_affixes_come_off() {
        let all = |provider, model| forms(provider, model).collect::<Vec<_>>();
        assert_eq!(
            all("anthropic", "claude-sonnet-4-5-20250929"),
            ["claude-sonnet-4-5"]
        );
        assert_eq!(
            all("vertex", "claude-opus-4-7@20260101"),
            ["claude-opus-4-7"]
        );
        assert_eq!(all("openai", "gpt-4o-2024-08-06"), ["gpt-4o"]);
        assert_eq!(
            all("openai", "openai/gpt-5-latest"),
            ["gpt-5-latest", "gpt-5"]
        );
        assert_eq!(all("gemini", "models/gemini-3-pro"), ["gemini-3-pro"]);
        assert_eq!(
            all("openai", "ft:gpt-4o-2024-08-06:acme::a1"),
            ["ft:gpt-4o-2024-08-06", "ft:gpt-4o"]
        );
        for model in [
            "gpt-4o-mini",
            "gpt-5.5",
            "gpt-4-0613",
            "claude-3-99999999",
            "x-2024-13-01",
            "-20250929",
            "é-20250929",
            "azure/gpt-5",
            "gpt-4o-2024-8-061",
            "",
            "ft:",
            "x-20250932",
        ] {
            assert!(
                all("openai", model).is_empty(),
                "{model}: {:?}",
                all("openai", model)
            );
        }
    }
}
