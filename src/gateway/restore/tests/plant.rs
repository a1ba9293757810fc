//! Chance that can be repeated, and secrets put where chance says.

use serde_json::Value;

/// What is planted: one with a form of its own, one that spans lines and needs escapes, one that only a name gives away.
pub const SECRETS: [&str; 3] = [
    "AKIAPLANTED234567ABC",
    "-----BEGIN PLANTED-----\nab\"c\\d\ne\u{e9}\u{1f600}f==\n-----END PLANTED-----",
    "0q9w8e7r6t5y4u3i2o1p",
];

/// Numbers that look random, the same for the same seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    pub fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % most.max(1)
    }

    /// A text cut at characters.
    pub fn pieces(&mut self, text: &str) -> Vec<String> {
        let mut rest = text;
        let most = 1 + self.below(60);
        let mut all = Vec::new();
        while !rest.is_empty() {
            let size = 1 + self.below(most);
            let at = rest
                .char_indices()
                .nth(size)
                .map_or(rest.len(), |(at, _)| at);
            let (piece, after) = rest.split_at(at);
            all.push(piece.to_owned());
            rest = after;
        }
        all
    }

    /// A text as agents send them: code, a JSON file, a diff, other alphabets.
    pub fn text(&mut self) -> String {
        const PARTS: [&str; 10] = [
            "fn main() {\n    println!(\"hi\\n\");\n}\n",
            "{\"name\": \"x\", \"list\": [\"a\\\"b\", \"c\\\\d\"]}\n",
            "@@ -1,2 +1,2 @@\n-old line\n+new line\n",
            "caf\u{e9} \u{1f980} \u{2028} end\r\n",
            "C:\\Users\\x\t\"quoted\"\n",
            "TG_ TG_access_key_ABC T",
            "https://x.example/?q=a%20b&c=%2F ",
            "<a href=\"x\">&amp;</a>\n",
            "key: value # comment\n",
            " ",
        ];
        (0..=self.below(6))
            .map(|_| PARTS[self.below(PARTS.len())])
            .collect()
    }
}

/// Puts secrets into some texts of a body.
pub struct Plant<'d> {
    dice: &'d mut Dice,
    count: usize,
    /// Whether the name stands somewhere that gives one of them away.
    named: bool,
}

impl<'d> Plant<'d> {
    pub fn new(dice: &'d mut Dice) -> Self {
        Self {
            dice,
            count: 0,
            named: false,
        }
    }

    /// Plants, and says how often. What only a name gives away is named at its first place.
    pub fn into(mut self, body: &mut Value) -> usize {
        let texts = count(body);
        let every = 1 + texts / 6;
        self.walk(body, every);
        self.count
    }

    fn walk(&mut self, value: &mut Value, every: usize) {
        match value {
            Value::String(text) if self.dice.below(every) == 0 => self.plant(text),
            Value::Array(all) => all.iter_mut().for_each(|one| self.walk(one, every)),
            Value::Object(all) => {
                for (key, one) in all.iter_mut() {
                    if let Some(mut arguments) = inner(key, one) {
                        self.walk(&mut arguments, every);
                        *one = Value::String(arguments.to_string());
                    } else if is_free(key) || !one.is_string() {
                        self.walk(one, every);
                    }
                }
            }
            _ => {}
        }
    }

    fn plant(&mut self, text: &mut String) {
        let mut at = self.dice.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let secret = SECRETS[self.dice.below(SECRETS.len())];
        let bare = secret != SECRETS[2] || std::mem::replace(&mut self.named, true);
        let named = if bare { "" } else { "hush_key = " };
        let nested = nested(&format!("{named}{secret}"), self.dice.below(3));
        text.insert_str(at, &format!(" {nested} "));
        self.count += 1;
    }
}

/// A text as it stands in a JSON file, or in one that a JSON file holds.
pub fn nested(text: &str, depth: usize) -> String {
    (0..depth).fold(text.to_owned(), |text, _| {
        serde_json::json!({ "k": text }).to_string()
    })
}

/// The arguments of a call in the APIs of `OpenAI`: JSON in a text.
pub fn inner(key: &str, value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|_| key == "arguments")?;
    serde_json::from_str(text).ok().filter(Value::is_object)
}

/// Texts of people, files and tools; the others are the API's own words, ids and signatures.
fn is_free(key: &str) -> bool {
    const FREE: [&str; 10] = [
        "text",
        "content",
        "output",
        "instructions",
        "system",
        "old",
        "command",
        "description",
        "input",
        "path",
    ];
    FREE.contains(&key)
}

fn count(value: &Value) -> usize {
    match value {
        Value::String(_) => 1,
        Value::Array(all) => all.iter().map(count).sum(),
        Value::Object(all) => all.values().map(count).sum(),
        _ => 0,
    }
}
