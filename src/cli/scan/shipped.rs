//! The rules of `conf/rules`, built into the binary, so that `tollgate scan` works where no installation is.

use crate::scan::RuleFile;

/// Every file of `conf/rules`.
pub const RULES: &[RuleFile<'static>] = &[
    RuleFile {
        name: "access.toml",
        text: include_str!("../../../conf/rules/access.toml"),
    },
    RuleFile {
        name: "ai.toml",
        text: include_str!("../../../conf/rules/ai.toml"),
    },
    RuleFile {
        name: "chat.toml",
        text: include_str!("../../../conf/rules/chat.toml"),
    },
    RuleFile {
        name: "cloud.toml",
        text: include_str!("../../../conf/rules/cloud.toml"),
    },
    RuleFile {
        name: "context.toml",
        text: include_str!("../../../conf/rules/context.toml"),
    },
    RuleFile {
        name: "generic.toml",
        text: include_str!("../../../conf/rules/generic.toml"),
    },
    RuleFile {
        name: "keys.toml",
        text: include_str!("../../../conf/rules/keys.toml"),
    },
    RuleFile {
        name: "personal.toml",
        text: include_str!("../../../conf/rules/personal.toml"),
    },
    RuleFile {
        name: "services.toml",
        text: include_str!("../../../conf/rules/services.toml"),
    },
    RuleFile {
        name: "source.toml",
        text: include_str!("../../../conf/rules/source.toml"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{Family, RuleSet};

    #[test]
    fn every_rule_file_is_shipped_and_right() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf/rules");
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let shipped: Vec<&str> = RULES.iter().map(|file| file.name).collect();
        assert_eq!(shipped, files);
        assert!(RuleSet::parse(RULES, &Family::ALL).is_ok());
    }
}
