//! Values that are words of the product: amounts, names, categories.

use super::Value;
use crate::domain::{Category, Name, Usd};

impl Value<'_> {
    /// Dollars as a decimal in quotes: a TOML float would lose digits.
    pub fn amount(&self) -> Option<Usd> {
        if !self.is_text() {
            self.expected("dollars in quotes, such as \"12.50\"");
            return None;
        }
        self.parsed(|text| Usd::parse(text).map_err(|error| format!("\"{text}\" {error}")))
    }

    /// The name of a team, a user, an organisation.
    pub fn name(&self) -> Option<Name> {
        self.parsed(|text| {
            let wrong = || "is not a name: up to 64 letters, digits, `-`, `_` and `.`".to_owned();
            Name::is_valid(text)
                .then(|| Name::new(text))
                .ok_or_else(wrong)
        })
    }

    /// The key itself as a category.
    pub fn key_category(&self) -> Option<Category> {
        if !Category::is_valid(self.key()) {
            let key = self.shown_key();
            self.key_fault(format!(
                "`{key}` is not a category: up to 40 lower-case letters, digits and `_`"
            ));
            return None;
        }
        Some(Category::new(self.key()))
    }
}
