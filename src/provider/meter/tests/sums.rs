//! The parts add up to what the provider says.

use proptest::prelude::*;
use serde_json::json;

use super::json as answer;
use crate::domain::Provenance;
use crate::provider::Endpoint::{ChatCompletions, Messages, Responses};

prop_compose! {
    /// A whole and parts of it that do not overlap.
    fn whole_and_parts()(parts in proptest::array::uniform5(0u64..100_000)) -> (u64, [u64; 5]) {
        (parts.iter().sum(), parts)
    }
}

proptest! {
    #[test]
    fn openai_parts_sum_to_its_totals((input, i) in whole_and_parts(), (output, o) in whole_and_parts(), reasoning in 0u64..100_000) {
        for (endpoint, body) in [
            (ChatCompletions, json!({"usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details": {"cached_tokens": i[0], "cache_write_tokens": i[1], "audio_tokens": i[2], "image_tokens": i[3]},
                "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": o[0], "image_tokens": o[1]}}})),
            (Responses, json!({"usage": {"input_tokens": input, "output_tokens": output, "total_tokens": input + output,
                "input_tokens_details": {"cached_tokens": i[0], "cache_write_tokens": i[1], "audio_tokens": i[2], "image_tokens": i[3]},
                "output_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": o[0], "image_tokens": o[1]}}})),
        ] {
            let metered = answer(endpoint, &body);
            prop_assert_eq!(metered.usage.total_input(), input);
            prop_assert_eq!(metered.usage.total_output(), output);
            prop_assert_eq!([metered.usage.cache_read, metered.usage.cache_write_5m, metered.usage.audio_input, metered.usage.image_input], [i[0], i[1], i[2], i[3]]);
            prop_assert!(metered.usage.reasoning <= metered.usage.output);
            prop_assert_eq!(metered.provenance, Provenance::Exact);
        }
    }

    #[test]
    fn openai_parts_never_sum_to_more_even_when_they_overlap(input in 0u64..1_000, parts in proptest::array::uniform4(0u64..1_000)) {
        let body = json!({"usage": {"prompt_tokens": input, "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": parts[0].min(input), "cache_write_tokens": parts[1], "audio_tokens": parts[2], "image_tokens": parts[3]}}});
        prop_assert_eq!(answer(ChatCompletions, &body).usage.total_input(), input);
    }

    #[test]
    fn anthropic_parts_sum_to_its_totals(n in proptest::array::uniform5(0u64..100_000), unattributed in 0u64..1_000) {
        let [input, read, five, hour, output] = n;
        let body = json!({"usage": {"input_tokens": input, "cache_read_input_tokens": read, "output_tokens": output,
            "cache_creation_input_tokens": five + hour + unattributed,
            "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}}});
        let usage = answer(Messages, &body).usage;
        prop_assert_eq!(usage.total_input(), input + read + five + hour + unattributed);
        prop_assert_eq!([usage.cache_write_5m, usage.cache_write_1h], [five + unattributed, hour]);
        prop_assert_eq!(usage.total_output(), output);
    }
}
