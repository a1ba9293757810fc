//! Content encodings and every coding inside a text: never panic, never make more than they may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::scan::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::decoders(data));
