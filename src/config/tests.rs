//! The promises of the configuration: defaults load, mistakes are told with their place.

use std::path::Path;

use super::*;
use crate::policy::SettableRefusal;

fn told(text: &str) -> String {
    match parse("tollgate.toml", text, Path::new("")) {
        Ok(_) => "no mistake".to_owned(),
        Err(faults) => faults
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

const PROVIDER: &str = "[provider.p]\ndialect = \"openai\"\naddresses = [\"http://127.0.0.1:1\"]\ncredential = \"env:KEY\"\n";

#[test]
fn the_shipped_file_loads_as_it_is_and_means_what_its_comments_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/tollgate.toml");
    let shipped = load(&path).unwrap();
    let minimal = parse("x", PROVIDER, path.parent().unwrap()).unwrap();
    assert_eq!(shipped.providers.len(), 2);
    assert_eq!(shipped.providers[0].timeouts, minimal.providers[0].timeouts);
    assert_eq!(
        format!("{:?}", shipped.limits),
        format!("{:?}", minimal.limits)
    );
    assert_eq!(
        format!("{:?}", shipped.audit),
        format!("{:?}", minimal.audit)
    );
    assert_eq!(
        format!("{:?}", shipped.budget),
        format!("{:?}", minimal.budget)
    );
    assert_eq!(shipped.listen.data, minimal.listen.data);
    assert_eq!(shipped.scan.rules, minimal.scan.rules);
    for refusal in SettableRefusal::ALL {
        for agent in [
            "codex_exec/1",
            "litellm/1.8",
            "OpenAI/Python 2",
            "claude-cli/2",
            "",
        ] {
            let [said, default] =
                [&shipped, &minimal].map(|settings| settings.refusal.status(refusal, Some(agent)));
            assert_eq!(said, default, "{agent} {refusal:?}");
        }
    }
}

/// Every line that is commented out is a key that exists.
#[test]
fn the_shipped_file_loads_with_all_its_comments_taken_away() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/tollgate.toml");
    let text = std::fs::read_to_string(path).unwrap();
    let uncommented: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.contains(" = ") || rest.starts_with('[') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    if let Err(faults) = parse("tollgate.toml", &uncommented, Path::new("")) {
        panic!("{faults:#?}");
    }
}

#[test]
fn paths_count_from_the_folder_of_the_file() {
    let settings = parse("x", PROVIDER, Path::new("/etc/tollgate")).unwrap();
    assert_eq!(settings.state.dir, Path::new("/etc/tollgate/state"));
    assert_eq!(settings.prices.file, Path::new("/etc/tollgate/prices.toml"));
    let absolute = format!("[state]\ndir = \"/var/lib/tollgate\"\n{PROVIDER}");
    assert_eq!(
        parse("x", &absolute, Path::new("/etc")).unwrap().state.dir,
        Path::new("/var/lib/tollgate")
    );
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    insta::assert_snapshot!(told(""));
}

#[test]
fn the_mistakes_of_names_are_told_with_the_nearest_one() {
    insta::assert_snapshot!(told(
        "[listn]\n[limits]\nbdy = \"1 MiB\"\n[scan]\nfamilies = [\"secrets\", \"genric\"]\naction = \"blok\"\n\
         [scan.actions]\nPrivateKey = \"block\"\naws_key = \"redakt\"\n[provider.P!]\ndialect = \"antropic\"\n\
         adresses = []\ncredential = \"sk-pasted-by-mistake\"\n"
    ));
}

#[test]
fn the_mistakes_of_values_are_told_with_what_to_write() {
    insta::assert_snapshot!(told(&format!(
        "[listen]\ndata = \"localhost\"\nh2c = \"yes\"\ntls = {{ cert = \"a.pem\" }}\n\
         [limits]\nbody = \"2 GiB\"\nbuffered = 5\nupload_timeout = \"1 minute\"\ndrain_timeout = \"\"\n\
         [budget]\nquote = \"exact\"\non_store_loss = {{ grace = \"200%\" }}\nunknown_model = {{ input = \"12,50\", output = \"0\" }}\n\
         [redis]\nurl = \"redis://:pw@h\"\n\
         [audit]\nretention = \"1h\"\nspool = \"1 MiB\"\n[audit.clickhouse]\ndatabase = \"a-b\"\n\
         [refusal]\nbudget = 500\n[[refusal.client]]\nuser_agent = \"codex*\"\n{PROVIDER}"
    )));
}

#[test]
fn the_mistakes_of_providers_are_told() {
    insta::assert_snapshot!(told(
        "[provider.v1]\ndialect = \"openai\"\naddresses = [\"api.openai.com\", { url = \"https://a\", weight = 0 }, \"https://u:p@h\"]\n\
         [provider.b]\ndialect = \"openai\"\naddresses = [\"https://a\", \"https://a/\"]\ncredential = \"env:A B\"\nattempts = 99\n\
         [provider.c]\ndialect = \"openai\"\naddresses = []\ncredential = \"file:\"\nconnect_timeout = \"0s\"\n"
    ));
}

#[test]
fn an_alias_of_an_alias_is_a_mistake() {
    insta::assert_snapshot!(told(&format!(
        "[models.aliases]\na = \"b\"\nb = \"c\"\n{PROVIDER}"
    )));
}

#[test]
fn an_alias_without_a_name_or_a_model_is_told_once() {
    let told = told(&format!(
        "[models.aliases]\n\"\" = \"x\"\nz = \"\"\n{PROVIDER}"
    ));
    assert_eq!(told.matches("is empty").count(), 1, "{told}");
    assert_eq!(told.matches("needs a name").count(), 1, "{told}");
}

#[test]
fn text_that_is_no_toml_is_told_with_its_place() {
    insta::assert_snapshot!(told(&format!(
        "[limits\nbody = \n{PROVIDER}[provider.p]\nx = 1\n"
    )));
}

#[test]
fn a_file_that_cannot_be_read_is_told() {
    let faults = load(Path::new("/nonexistent/tollgate.toml")).unwrap_err();
    assert!(
        faults[0]
            .to_string()
            .starts_with("/nonexistent/tollgate.toml:1:1  cannot be read"),
        "{}",
        faults[0]
    );
}
