//! `tollgate scan`: the gateway's scanner on files, standard input and what git is about to commit.

mod found;
mod inputs;
mod jsonl;
mod sarif;
pub mod shipped;

use std::fs;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::Context;
use clap::{Args, ValueEnum};

use self::found::{FileReport, Found};
use self::inputs::Input;
use super::setup::WrongConfiguration;
use crate::document::Fault;
use crate::domain::Secret;
use crate::scan::{
    Body, BuildError, Family, KnownValues, Limits, RuleFault, RuleFile, RuleSet, Scanner,
};

/// Find secrets in files, directories, standard input or what git is about to commit
///
/// Directories are read as git sees them: ignored files are left out. Secrets are shown masked. Exit status 1 when
/// something was found.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Files and directories; `-` for standard input
    #[arg(value_name = "PATH", required_unless_present_any = ["jsonl", "staged"])]
    paths: Vec<PathBuf>,
    /// What git is about to commit
    #[arg(long, conflicts_with_all = ["paths", "jsonl"])]
    staged: bool,
    /// Read bodies as JSON lines from standard input and answer each with its findings
    #[arg(long, conflicts_with = "paths")]
    jsonl: bool,
    /// Families of rules to add to the secrets: context, generic, personal
    #[arg(long, value_delimiter = ',', value_name = "FAMILY")]
    with: Vec<With>,
    /// Rule files to use instead of the shipped ones
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Rule files to use besides the others: they may switch rules off and allow findings by their fingerprint
    #[arg(long, value_name = "FILE")]
    add_rules: Vec<PathBuf>,
    /// How to print findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum With {
    Context,
    Generic,
    #[value(alias = "pii")]
    Personal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
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
    let inputs = if args.staged {
        inputs::staged()?
    } else {
        inputs::of_paths(&args.paths)?
    };
    let reports = scan_all(&scanner, &inputs)?;
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Text => found::text(&scanner, &reports, out)?,
        Format::Json => found::json(&reports, out)?,
        Format::Sarif => sarif::write(&scanner, &reports, out)?,
    }
    let clean = reports.iter().all(|report| report.found.is_empty());
    Ok(ExitCode::from(u8::from(!clean)))
}

fn scanner(args: &ScanArgs) -> anyhow::Result<Scanner> {
    let mut families = vec![Family::Secrets];
    families.extend(args.with.iter().map(|with| with.family()));
    let (own, added) = (read_rules(&args.rules)?, read_rules(&args.add_rules)?);
    let as_file = |(name, text): &'_ (String, String)| (name.clone(), text.clone());
    let mut texts: Vec<(String, String)> = own.iter().map(as_file).collect();
    texts.extend(added);
    let mut files: Vec<RuleFile<'_>> = texts
        .iter()
        .map(|(name, text)| RuleFile { name, text })
        .collect();
    if own.is_empty() {
        files.extend(shipped::RULES);
    }
    let rules = RuleSet::parse(&files, &families).map_err(wrong_rules)?;
    // Fingerprints of the command line are the same everywhere, so that a list of allowed ones can be shared; those of an
    // installation are made with its own key.
    let key = Secret::new([0; 32]);
    let built = Scanner::build(rules, KnownValues::new(), &key, Limits::default());
    built.map_err(|error| match error {
        BuildError::Rules(faults) => wrong_rules(faults).into(),
        other @ BuildError::Matcher(_) => other.into(),
    })
}

fn wrong_rules(faults: Vec<RuleFault>) -> WrongConfiguration {
    WrongConfiguration(faults.into_iter().map(Fault::from).collect())
}

/// The named rule files with their text.
pub(super) fn read_rules(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    paths
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

/// Scans everything on all processors; the reports come in the order of the inputs, without those that are clean.
fn scan_all(scanner: &Scanner, inputs: &[Input]) -> anyhow::Result<Vec<FileReport>> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let reports = Mutex::new(Vec::new());
    let shows = stderr().is_terminal() && inputs.len() > 1;
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers.min(inputs.len()) {
            scope.spawn(|| {
                let mut workspace = scanner.workspace();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(index) else {
                        return;
                    };
                    if shows && index % 64 == 0 {
                        // A progress line that cannot be written is no reason to stop.
                        let _ = write!(stderr(), "\r{index} of {} files", inputs.len());
                    }
                    let read = input.read();
                    let bytes = match read {
                        Ok(bytes) => bytes,
                        Err(error) => {
                            if let Ok(mut failed) = failed.lock() {
                                failed.get_or_insert(error);
                            }
                            continue;
                        }
                    };
                    let body = Body {
                        bytes: &bytes,
                        content_type: None,
                        content_encoding: None,
                    };
                    let report = scanner.scan(&mut workspace, body, None);
                    let found: Vec<Found> = report
                        .findings
                        .iter()
                        .map(|finding| Found::new(finding, &bytes))
                        .collect();
                    if !found.is_empty()
                        && let Ok(mut reports) = reports.lock()
                    {
                        let file = input.name();
                        reports.push((index, FileReport { file, found }));
                    }
                }
            });
        }
    });
    if shows {
        let _ = write!(stderr(), "\r{} files scanned    \n", inputs.len());
    }
    if let Ok(Some(error)) = failed.into_inner() {
        return Err(error);
    }
    let mut reports = reports.into_inner().unwrap_or_default();
    reports.sort_by_key(|(index, _)| *index);
    Ok(reports.into_iter().map(|(_, report)| report).collect())
}

#[cfg(test)]
mod tests;
