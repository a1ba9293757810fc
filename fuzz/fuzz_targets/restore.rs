//! The restorer: never panics, and network reads change nothing. The first byte chooses the API, the second where the
//! answer is cut; a third of the bytes' meaning is left to the events themselves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::domain::Category;
use tollgate::gateway::restore::StreamRestorer;
use tollgate::provider::Endpoint;
use tollgate::scan::restore::{Collected, Restorations};

fn known() -> Restorations {
    let mut collected = Collected::default();
    collected.add(
        "TG_k_ABCDEFGHIJKLMNOP",
        "\"\\\n\u{2028}é",
        &Category::new("k"),
    );
    collected.add("TG_k_ABCDEFGHIJKLMNO2", "T", &Category::new("k"));
    collected.finish()
}

fn restore(endpoint: Endpoint, sse: bool, pieces: &[&[u8]]) -> Vec<u8> {
    let mut restorer = StreamRestorer::new(endpoint, sse, known());
    let mut out = Vec::new();
    for piece in pieces {
        restorer.push(piece, &mut out);
    }
    restorer.finish(&mut out);
    assert_eq!(restorer.held(), 0);
    out
}

fuzz_target!(|data: &[u8]| {
    let [choice, cut, answer @ ..] = data else {
        return;
    };
    let endpoint = Endpoint::ALL[usize::from(*choice) % Endpoint::ALL.len()];
    let sse = choice & 0x80 == 0;
    let (head, tail) = answer.split_at(usize::from(*cut) % (answer.len() + 1));
    let whole = restore(endpoint, sse, &[answer]);
    assert_eq!(whole, restore(endpoint, sse, &[head, tail]));
    let single: Vec<&[u8]> = answer.chunks(1).collect();
    assert_eq!(whole, restore(endpoint, sse, &single));
    if !sse {
        // A body that is JSON stays JSON.
        assert_eq!(
            tollgate::domain::json::Tape::default().read(answer).is_ok(),
            tollgate::domain::json::Tape::default().read(&whole).is_ok()
        );
    }
});
