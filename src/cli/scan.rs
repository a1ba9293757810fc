//! `tollgate scan`: the gateway's scanner on files, standard input and what git is about to commit.

mod jsonl;
pub mod shipped;

use std::fs;
use std::io::{Write, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::domain::Secret;
use crate::scan::{Family, KnownValues, Limits, RuleFile, RuleSet, Scanner};

/// Finds secrets in files, directories or standard input.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Read bodies as JSON lines from standard input and answer each with its findings
    #[arg(long)]
    jsonl: bool,
    /// Families of rules to add to the secrets: context, generic, personal
    #[arg(long, value_delimiter = ',', value_name = "FAMILY")]
    with: Vec<With>,
    /// Rule files to use instead of the shipped ones
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum With {
    Context,
    Generic,
    #[value(alias = "pii")]
    Personal,
}

impl With {
    const fn family(self) -> Family {
        match self {
            Self::Context => Family::Context,
            Self::Generic => Family::Generic,
            Self::Personal => Family::Personal,
        }
    }
}

/// Runs the scan; exit status 1 when something was found.
///
/// # Errors
/// When rules or input cannot be read.
pub fn run(args: &ScanArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let scanner = scanner(args)?;
    if args.jsonl {
        jsonl::answer(&scanner, stdin().lock(), out)?;
        return Ok(ExitCode::SUCCESS);
    }
    bail!("name what to scan");
}

fn scanner(args: &ScanArgs) -> anyhow::Result<Scanner> {
    let mut families = vec![Family::Secrets];
    families.extend(args.with.iter().map(|with| with.family()));
    let own = read_rules(&args.rules)?;
    let own: Vec<RuleFile<'_>> = own
        .iter()
        .map(|(name, text)| RuleFile { name, text })
        .collect();
    let files = if own.is_empty() {
        shipped::RULES
    } else {
        own.as_slice()
    };
    let rules = RuleSet::parse(files, &families).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the rules cannot be used:\n{}", lines.join("\n"))
    })?;
    // Fingerprints of the command line are for telling findings apart within one run; the installation's stay its own.
    let key = Secret::new([0; 32]);
    Scanner::build(rules, KnownValues::new(), &key, Limits::default())
        .context("the rules cannot be used")
}

fn read_rules(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}
