//! The ways in which agents' traffic wraps a secret.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::super::examples::dice::Dice;
use super::body::{Case, HEAD, TAIL, Text, Wrapped};
use super::body::{entities, escape, html, percent, unicode};
use super::cuts::COLOURS;

/// A body with this secret in it; `None` where the wrapping cannot hold it.
pub type Wrap = (&'static str, fn(&Case<'_>, &mut Dice) -> Option<Wrapped>);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// What changes how the letters are written.
pub const CODED: &[Wrap] = &[
    ("raw", |case, _| {
        Some(Text::of(case).body("", "", "text/plain"))
    }),
    ("json", |case, _| Some(Text::of(case).json())),
    ("json of no type", |case, _| {
        let kind = None;
        let json = Text::of(case).json();
        Some(Wrapped { kind, ..json })
    }),
    ("json lines", |case, _| {
        let text = Text::of(case).map(escape);
        let (head, tail) = (format!("{{\"a\":1}}\n{HEAD}"), format!("{TAIL}\n{{}}\n"));
        Some(text.body(&head, &tail, "application/x-ndjson"))
    }),
    ("json with spaces", |case, _| {
        let head = "{\n  \"input\": [\n    {\n      \"output\": \"";
        Some(
            Text::of(case)
                .map(escape)
                .body(head, "\"\n    }\n  ]\n}\n", JSON),
        )
    }),
    ("a string in a string", |case, _| Some(nested(case, 1))),
    ("two strings deep", |case, _| Some(nested(case, 2))),
    ("three strings deep", |case, _| Some(nested(case, 3))),
    ("tool arguments", |case, _| {
        Some(arguments(Text::of(case), 1))
    }),
    ("tool arguments, two deep", |case, _| {
        Some(arguments(Text::of(case), 2))
    }),
    ("tool arguments, three deep", |case, _| {
        Some(arguments(Text::of(case), 3))
    }),
    ("unicode escapes", |case, _| {
        Some(Text::of(case).map(|text| unicode(text, |_| true)).literal())
    }),
    ("some unicode escapes", |case, dice| {
        let some = dice.between(2, 9);
        let some = u16::try_from(some).unwrap();
        let text = Text::of(case).map(|text| unicode(text, |unit| unit % some == 0));
        Some(text.literal())
    }),
    ("unicode escapes in a string", |case, _| {
        Some(
            Text::of(case)
                .map(|text| escape(&unicode(text, |_| true)))
                .literal(),
        )
    }),
    ("slashes", |case, _| {
        Some(
            Text::of(case)
                .map(|text| escape(text).replace('/', r"\/"))
                .literal(),
        )
    }),
    ("literal line breaks", |case, _| {
        Some(Text::of(case).map(|text| text.replace('\n', "\\n")).json())
    }),
    ("html", |case, _| Some(Text::of(case).map(html).json())),
    ("decimal entities", |case, _| {
        let code = |text: &str| entities(text, |code| format!("&#{code};"));
        Some(Text::of(case).map(code).json())
    }),
    ("hexadecimal entities", |case, _| {
        let code = |text: &str| entities(text, |code| format!("&#x{code:X};"));
        Some(Text::of(case).map(code).json())
    }),
    ("percent signs", |case, _| {
        let code = |text: &str| percent(text, |b| b.is_ascii_alphanumeric());
        Some(Text::of(case).map(code).beside("https://h/?q=", "").json())
    }),
    ("percent signs in lower case", |case, _| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
        let code = |text: &str| percent(text, plain);
        Some(Text::of(case).map(|text| lower(&code(text))).json())
    }),
    ("form", |case, _| {
        let code = |text: &str| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b' ';
            percent(text, plain).replace(' ', "+")
        };
        Some(Text::of(case).map(code).body("a=1&prompt=", "&b=2", FORM))
    }),
    ("form of percent signs alone", |case, _| {
        let code = |text: &str| percent(text, |_| false);
        Some(Text::of(case).map(code).body("prompt=", "", FORM))
    }),
    ("multipart", |case, _| {
        let head = "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
        let kind = "multipart/form-data; boundary=b";
        Some(Text::of(case).body(head, "\r\n--b--\r\n", kind))
    }),
    ("percent signs at breaks", |case, _| {
        let code = |text: &str| percent(text, |b| b > b' ' && b.is_ascii() && b != b'%');
        let text = Text::of(case).beside("a\n", "\t\u{201d}b");
        Some(text.map(code).json().about(20))
    }),
    ("percent signs of a space", |case, _| {
        let code = |text: &str| percent(text, |b| b > b' ' && b.is_ascii() && b != b'%');
        let text = Text::of(case).beside("a\u{a0}", "\r\nb");
        Some(text.map(code).json().about(20))
    }),
    ("properties", |case, _| Some(signs(case, ":=#!")?.json())),
    ("markdown", |case, _| {
        case.secret.contains('_').then_some(())?;
        Some(signs(case, "_")?.json())
    }),
    ("markdown in a string", |case, _| {
        case.secret.contains('_').then_some(())?;
        Some(signs(case, "_")?.map(escape).json())
    }),
    ("a shell's quoting", |case, _| {
        Some(signs(case, "?=&#!*$~")?.json())
    }),
    ("colours", |case, _| {
        Some(
            coloured(case, "\x1b[1;32m", "\x1b[m\x1b[K")
                .json()
                .about(20),
        )
    }),
    ("colours as escapes", |case, dice| {
        let colour = dice.pick(COLOURS);
        Some(coloured(case, colour, colour).json().about(16))
    }),
];

/// A secret in a colour of its own.
/// Each of these signs behind a backslash; `None` where none stands inside a word or an address.
fn signs(case: &Case<'_>, signs: &str) -> Option<Text> {
    let text = [case.before, case.secret, case.after].concat();
    let inside = text.as_bytes().windows(3).any(|three| {
        let goes_on = three[2].is_ascii_alphanumeric() || three[2] == b'/';
        three[0].is_ascii_alphanumeric() && signs.as_bytes().contains(&three[1]) && goes_on
    });
    let code = |text: &str| {
        let escaped = |letter: char| {
            let slash = if signs.contains(letter) { "\\" } else { "" };
            format!("{slash}{letter}")
        };
        text.chars().map(escaped).collect()
    };
    inside.then(|| Text::of(case).map(code))
}

fn coloured(case: &Case<'_>, on: &str, off: &str) -> Text {
    Text::of(&Case {
        before: &format!("{}{on}", case.before),
        secret: case.secret,
        after: &format!("{off}{}", case.after),
    })
}

/// `%3d` for `%3D`.
fn lower(text: &str) -> String {
    let mut pieces = text.split('%');
    let first = pieces.next().unwrap().to_owned();
    pieces.fold(first, |out, piece| {
        let (digits, rest) = piece.split_at(2);
        format!("{out}%{}{rest}", digits.to_ascii_lowercase())
    })
}

/// Escapes of escapes, and nothing else.
fn nested(case: &Case<'_>, depth: usize) -> Wrapped {
    let code = |text: &str| (0..depth).fold(text.to_owned(), |text, _| escape(&text));
    Text::of(case).map(code).json()
}

/// A member of an object that is a string, as often as that.
pub fn arguments(text: Text, depth: usize) -> Wrapped {
    let text = (0..depth).fold(text, |text, _| {
        text.map(escape)
            .beside(r#"{"path":"a.txt","content":""#, r#""}"#)
    });
    let head = r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"write","arguments":""#;
    text.map(escape).body(head, r#""}}]}]}"#, JSON)
}

/// What stands around lines.
pub const LINES: &[Wrap] = &[
    ("diff", |case, _| {
        Some(Text::of(case).map(|text| text.replace('\n', "\n+")).json())
    }),
    ("diff with its head", |case, _| {
        let head = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,9 @@\n context\n";
        Some(marked(case, |_| "+".to_owned()).beside(head, "").json())
    }),
    ("lines taken out", |case, _| {
        Some(marked(case, |_| "-".to_owned()).json())
    }),
    ("quoted lines", |case, _| {
        Some(marked(case, |_| "> ".to_owned()).json())
    }),
    ("indented", |case, _| {
        Some(
            marked(case, |_| "    ".to_owned())
                .beside("data:\n  key: |\n", "")
                .json(),
        )
    }),
    ("line numbers and arrows", |case, _| {
        Some(marked(case, |line| format!("{line:6}\u{2192}")).json())
    }),
    ("line numbers and tabs", |case, _| {
        Some(marked(case, |line| format!("{line:6}\t")).json())
    }),
    ("line numbers and colons", |case, _| {
        Some(marked(case, |line| format!("{line}:")).json())
    }),
    ("line numbers and bars", |case, _| {
        Some(marked(case, |line| format!("{line}|")).json())
    }),
    ("crlf", |case, _| {
        Some(Text::of(case).map(|text| text.replace('\n', "\r\n")).json())
    }),
    ("crlf in tool arguments", |case, _| {
        let text = Text::of(case).map(|text| text.replace('\n', "\r\n"));
        Some(arguments(text, 1))
    }),
    ("one line", |case, _| {
        Some(Text::of(case).map(|text| text.replace('\n', " ")).json())
    }),
];

fn marked(case: &Case<'_>, mark: impl Fn(usize) -> String) -> Text {
    Text::of(case).marked(mark)
}

/// What hides the letters: nothing of the body is the secret itself.
pub const SEALED: &[Wrap] = &[
    ("gzip", |case, _| {
        let out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        Some(packed(case, "gzip", out, |out| out.finish().unwrap()))
    }),
    ("deflate", |case, _| {
        let out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        Some(packed(case, "deflate", out, |out| out.finish().unwrap()))
    }),
    ("deflate without a header", |case, _| {
        let out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        Some(packed(case, "deflate", out, |out| out.finish().unwrap()))
    }),
    ("zstd", |case, _| {
        let out = zstd::Encoder::new(Vec::new(), 1).unwrap();
        Some(packed(case, "zstd", out, |out| out.finish().unwrap()))
    }),
    ("br", |case, _| {
        let out = brotli::CompressorWriter::new(Vec::new(), 4096, 1, 16);
        Some(packed(
            case,
            "br",
            out,
            brotli::CompressorWriter::into_inner,
        ))
    }),
    ("base64", |case, _| {
        Some(coded(&STANDARD.encode(file(case)), "content: "))
    }),
    ("base64 for addresses", |case, _| {
        let code = URL_SAFE_NO_PAD.encode(file(case));
        Some(coded(&code, "https://h.example/?state="))
    }),
    ("base64 in a data address", |case, _| {
        let code = STANDARD.encode(file(case));
        Some(coded(&code, "data:text/plain;base64,"))
    }),
    ("base64 in lines", |case, _| {
        Some(coded(&in_lines(&STANDARD.encode(file(case)), "\n"), ""))
    }),
    ("base64 in lines of mail", |case, _| {
        let code = in_lines(&STANDARD.encode(file(case)), "\r\n");
        Some(coded(&code, "Content-Transfer-Encoding: base64\r\n\r\n"))
    }),
    ("base64 in tool arguments", |case, _| {
        let code = STANDARD.encode(file(case));
        let text = Case {
            before: &code,
            secret: "",
            after: "\n",
        };
        let parts = Vec::new();
        let body = arguments(Text::of(&text), 1);
        Some(Wrapped { parts, ..body })
    }),
    ("base64 of base64", |case, _| {
        let once = STANDARD.encode(file(case));
        Some(coded(&STANDARD.encode(format!("key: {once}\n")), ""))
    }),
    ("base64 of json", |case, _| {
        let json = Text::of(case).json();
        Some(coded(&STANDARD.encode(json.bytes), "body="))
    }),
    ("base64 in a diff", |case, _| {
        Some(coded(&STANDARD.encode(file(case)), "@@ -1 +1 @@\n+"))
    }),
    ("base64 in an address", |case, _| {
        Some(coded(
            &STANDARD.encode(file(case)),
            "https://h.example/files/",
        ))
    }),
    ("base64 after a name", |case, _| {
        Some(coded(&STANDARD.encode(file(case)), "v1"))
    }),
    ("base64 in lines of a diff", |case, _| {
        let code = in_lines(&STANDARD.encode(file(case)), "\n+");
        Some(coded(&code, "+++ b/k.b64\n+").of_lines())
    }),
];

fn packed<W: std::io::Write>(
    case: &Case<'_>,
    encoding: &'static str,
    mut out: W,
    finish: fn(W) -> Vec<u8>,
) -> Wrapped {
    let plain = Text::of(case).json();
    out.write_all(&plain.bytes).unwrap();
    plain.sealed(encoding, finish(out))
}

fn file(case: &Case<'_>) -> String {
    format!("# file\n{}{}{}\n", case.before, case.secret, case.after)
}

/// A body with this text and nothing of a secret's own.
fn coded(code: &str, lead: &str) -> Wrapped {
    Wrapped {
        bytes: format!("{HEAD}{}{}{TAIL}", escape(lead), escape(code)).into_bytes(),
        kind: Some(JSON),
        encoding: None,
        parts: Vec::new(),
        lines: false,
        about: 0,
    }
}

/// As `base64` writes it.
fn in_lines(code: &str, newline: &str) -> String {
    let lines = code.as_bytes().chunks(76).map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join(newline)
}
