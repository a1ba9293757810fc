//! Makes what the fuzz targets begin with, in a folder for each: the rules' own examples in every wrapping that a body may
//! have, and answers of every API with placeholders in them. The same every time.

// Links libFuzzer's counters, which the instrumented library refers to.
use libfuzzer_sys as _;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};
use tollgate::cli::scan::shipped::RULES;
use tollgate::provider::Endpoint;
use tollgate::scan::examples::expand;
use tollgate::scan::{Family, RuleSet};

/// The content encodings in the order of the targets `scan` and `decoders`.
const ENCODINGS: [&str; 5] = ["gzip", "deflate", "zstd", "br", "br, gzip"];

/// A folder of seeds.
struct Folder {
    path: PathBuf,
    count: usize,
}

impl Folder {
    fn new(all: &Path, target: &str) -> io::Result<Self> {
        let path = all.join(target);
        fs::create_dir_all(&path)?;
        Ok(Self { path, count: 0 })
    }

    fn add(&mut self, head: &[u8], bytes: &[u8]) -> io::Result<()> {
        let name = format!("{:05}", self.count);
        self.count += 1;
        fs::write(self.path.join(name), [head, bytes].concat())
    }
}

fn main() -> io::Result<()> {
    let folder = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "seeds".to_owned());
    let folder = Path::new(&folder);
    let examples = examples();
    let mut scan = Folder::new(folder, "scan")?;
    let mut json = Folder::new(folder, "json")?;
    let mut decoders = Folder::new(folder, "decoders")?;
    for (number, text) in examples.iter().enumerate() {
        let (kind, body) = wrapped(number, text);
        scan.add(&[kind, 0], &body)?;
        // Every tenth of them is enough for what knows no rules.
        if number % 10 == 0 {
            json.add(&[], &body)?;
            decoders.add(&[0], text.as_bytes())?;
            for (index, encoding) in (0..).zip(ENCODINGS) {
                let packed = packed(encoding, &body)?;
                scan.add(&[kind, index + 1], &packed)?;
                decoders.add(&[index], &packed)?;
            }
        }
    }
    let mut restore = Folder::new(folder, "restore")?;
    for (index, endpoint) in (0..).zip(Endpoint::ALL) {
        for (stream, answer) in answers(endpoint) {
            let choice = if stream { index } else { index | 0x80 };
            restore.add(&[choice, 7], answer.as_bytes())?;
        }
    }
    Ok(())
}

/// An example of every rule.
fn examples() -> Vec<String> {
    let rules = RuleSet::parse(RULES, &Family::ALL).expect("the shipped rules read");
    let all = rules
        .rules()
        .iter()
        .filter_map(|rule| rule.examples.first());
    all.filter_map(|template| expand(template, 1).ok())
        .map(|example| example.text)
        .collect()
}

/// A body that holds the text in one of many ways, and its type as the target `scan` numbers them.
fn wrapped(number: usize, text: &str) -> (u8, Vec<u8>) {
    let (head, tail) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let body = match number % 12 {
        0 => return (0, text.as_bytes().to_vec()),
        1 => json!({"messages": [{"role": "user", "content": text}]}),
        2 => json!({"arguments": json!({ "content": text }).to_string()}),
        3 => json!({"a": {"text": json!({"b": json!([text]).to_string()}).to_string()}}),
        4 => json!({"data": STANDARD.encode(text)}),
        5 => json!({"content": [{"type": "text", "text": head}, {"type": "text", "text": tail}]}),
        6 => json!({"text": format!("@@ -1,2 +1,2 @@\n+{head}\n+{tail}\n"), text: null}),
        7 => {
            json!({"text": head.chars().chain(['\u{200b}']).chain(tail.chars()).collect::<String>()})
        }
        8 => {
            return (
                2,
                format!("{{\"a\":1}}\n{}\n", json!({ "b": text })).into_bytes(),
            );
        }
        9 => return (3, format!("a=1&b={}", percent(text)).into_bytes()),
        10 => {
            return (
                4,
                format!(
                    "--x\r\ncontent-disposition: form-data; name=\"f\"\r\n\r\n{text}\r\n--x--\r\n"
                )
                .into_bytes(),
            );
        }
        _ => return (5, text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    };
    (1, body.to_string().into_bytes())
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn packed(encoding: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match encoding {
        "gzip" => GzEncoder::new(&mut out, Compression::fast()).write_all(bytes)?,
        "deflate" => ZlibEncoder::new(&mut out, Compression::fast()).write_all(bytes)?,
        "zstd" => zstd::stream::copy_encode(bytes, &mut out, 1)?,
        "br" => brotli::CompressorWriter::new(&mut out, 4096, 5, 20).write_all(bytes)?,
        _ => return packed("gzip", &packed("br", bytes)?),
    }
    Ok(out)
}

/// Answers of an API with the placeholders that the target `restore` knows: whether each is a stream, and its bytes.
fn answers(endpoint: Endpoint) -> Vec<(bool, String)> {
    let say = [
        "so TG_k_ABCDEF",
        "GHIJKLMNOP and T",
        "G_k_ABCDEFGHIJKLMNO2\n",
    ];
    let call = [
        "{\"command\":\"cu",
        "rl \\\"TG_k_ABCDEFGHIJ",
        "KLMNO2\\\"\",\"u\":\"TG_k_ABCDEFGHIJKLMNOP\"}",
    ];
    let (text, arguments) = (say.concat(), call.concat());
    let (events, whole) = match endpoint {
        Endpoint::Messages => messages(&say, &call),
        Endpoint::ChatCompletions | Endpoint::Completions => chats(&say, &call),
        Endpoint::Responses => responses(&say, &call),
        _ => (vec![json!({ "data": text })], json!({ "data": arguments })),
    };
    let sse = |events: &[Value]| -> String {
        events
            .iter()
            .map(|one| format!("event: x\ndata: {one}\n\n"))
            .collect()
    };
    let crlf = sse(&events).replace('\n', "\r\n");
    vec![
        (true, sse(&events)),
        (true, crlf),
        (false, whole.to_string()),
    ]
}

fn messages(say: &[&str], call: &[&str]) -> (Vec<Value>, Value) {
    let delta = |index: u32, delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
    let mut all = vec![
        json!({"type": "message_start", "message": {"content": []}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
    ];
    all.extend(
        say.iter()
            .map(|text| delta(0, json!({"type": "text_delta", "text": text}))),
    );
    all.push(json!({"type": "content_block_stop", "index": 0}));
    all.push(json!({"type": "ping"}));
    all.push(json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "Bash", "input": {}}}));
    all.extend(
        call.iter()
            .map(|text| delta(1, json!({"type": "input_json_delta", "partial_json": text}))),
    );
    all.push(json!({"type": "content_block_stop", "index": 1}));
    all.push(json!({"type": "message_stop"}));
    let input: Value = serde_json::from_str(&call.concat()).expect("the pieces make JSON");
    let whole = json!({"content": [{"type": "thinking", "thinking": say[1], "signature": "s"}, {"type": "text", "text": say.concat()},
        {"type": "tool_use", "name": "Write", "input": input}]});
    (all, whole)
}

fn chats(say: &[&str], call: &[&str]) -> (Vec<Value>, Value) {
    let one = |delta: Value| json!({"choices": [{"index": 0, "delta": delta, "text": "TG_k_", "finish_reason": null}]});
    let mut all: Vec<Value> = say
        .iter()
        .map(|text| one(json!({ "content": text })))
        .collect();
    all.push(one(json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "t", "function": {"name": "sh", "arguments": ""}}]})));
    all.extend(
        call.iter().map(|text| {
            one(json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]}))
        }),
    );
    all.push(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}));
    let function = json!({"name": "sh", "arguments": call.concat()});
    let whole = json!({"choices": [{"index": 0, "text": say.concat(), "message": {"content": say.concat(),
        "tool_calls": [{"function": function}], "function_call": function}}]});
    (all, whole)
}

fn responses(say: &[&str], call: &[&str]) -> (Vec<Value>, Value) {
    let text = say.concat();
    let item = json!({"type": "function_call", "name": "sh", "arguments": call.concat()});
    let mut all =
        vec![json!({"type": "response.created", "response": {"instructions": text, "output": []}})];
    all.extend(say.iter().map(|text| json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})));
    all.push(json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": text}));
    all.push(json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "name": "sh", "arguments": ""}}));
    all.extend(call.iter().map(|text| json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": text})));
    all.push(json!({"type": "response.function_call_arguments.done", "output_index": 1, "arguments": call.concat()}));
    all.push(json!({"type": "response.output_item.done", "output_index": 1, "item": item}));
    let output =
        json!([{"type": "message", "content": [{"type": "output_text", "text": text}]}, item]);
    let whole = json!({"object": "response", "output": output});
    all.push(json!({"type": "response.completed", "response": whole}));
    (all, whole)
}
