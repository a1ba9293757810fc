//! The JSON walker: never panics, and every string that it hands out leads back to its own bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tollgate::scan::fuzzing;

fuzz_target!(|data: &[u8]| fuzzing::json(data));
