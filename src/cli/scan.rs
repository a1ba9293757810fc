//! `tollgate scan`: the gateway's scanner on files, standard input and what git is about to commit.

mod found;
mod git;
mod inputs;
mod jsonl;
mod sarif;
pub mod shipped;

use std::fs;
use std::io::{IsTerminal, Write, stderr, stdin};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::Context;
use clap::{Args, ValueEnum};
use parking_lot::Mutex;

use self::found::{FileReport, Found};
use self::inputs::Input;
use super::setup::WrongConfiguration;
use crate::document::Fault;
use crate::domain::Secret;
use crate::scan::{
    Body, BuildError, Family, KnownValues, Limits, RuleFault, RuleFile, RuleSet, Scanner, Workspace,
};

/// Find secrets in files, directories, standard input or what git is about to commit
///
/// Directories are read as git sees them: ignored files are left out, unless git tracks them. What is named is read, whatever
/// it is. Secrets are shown masked. Exit status 1 when something was found, could not be read or could not be scanned whole.
#[derive(Debug, Args)]
pub struct ScanArgs {
    /// Files and directories; `-` for standard input
    #[arg(value_name = "PATH", required_unless_present_any = ["jsonl", "staged"])]
    paths: Vec<PathBuf>,
    /// What git is about to commit, in the whole repository
    #[arg(long, conflicts_with_all = ["paths", "jsonl"])]
    staged: bool,
    /// Read bodies as JSON lines from standard input and answer each with its findings
    ///
    /// A line in: {"id": 1, "b64": "BODY IN BASE64", "ct": "CONTENT TYPE", "ce": "CONTENT ENCODING"}; `ct` and `ce` may be left
    /// out. A line out: {"id": 1, "findings": [{"rule": "github-pat", "start": 10, "end": 50, "path": "$.messages[0].content"}],
    /// "ns": 41000}; `start` and `end` are bytes of the body or -1, `ns` is the processor's time, and `undecodable` says why a
    /// body could not be read whole. Exit status 0 whatever is found.
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

/// Runs the scan; exit status 1 when something was found, could not be read or could not be scanned whole.
///
/// # Errors
/// When the rules cannot be read, or what is staged.
pub fn run(args: &ScanArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let scanner = scanner(args)?;
    if args.jsonl {
        jsonl::answer(&scanner, stdin().lock(), out)?;
        return Ok(ExitCode::SUCCESS);
    }
    let inputs = if args.staged {
        inputs::staged()?
    } else {
        inputs::of_paths(&args.paths)
    };
    let (reports, unread) = scan_all(&scanner, inputs);
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Text => found::text(&scanner, &reports, out)?,
        Format::Json => found::json(&reports, out)?,
        Format::Sarif => sarif::write(&scanner, &reports, &unread, out)?,
    }
    out.flush()?;
    for error in &unread {
        writeln!(stderr(), "tollgate: {error:#}")?;
    }
    let clean = unread.is_empty() && reports.is_empty();
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

/// Scans everything on all processors: the reports of what is not clean, and why something could not be read, in the order
/// of the inputs.
fn scan_all(
    scanner: &Scanner,
    inputs: Vec<anyhow::Result<Input>>,
) -> (Vec<FileReport>, Vec<anyhow::Error>) {
    let count = inputs.len();
    let next = Mutex::new(inputs.into_iter().enumerate());
    let outcomes = Mutex::new(Vec::with_capacity(count));
    let shows = stderr().is_terminal() && count > 1;
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers.min(count) {
            scope.spawn(|| {
                let mut workspace = scanner.workspace();
                loop {
                    let Some((index, input)) = next.lock().next() else {
                        return;
                    };
                    if shows && index % 64 == 0 {
                        // A progress line that cannot be written is no reason to stop.
                        let _ = write!(stderr(), "\r{index} of {count} files");
                    }
                    let outcome = input.and_then(|input| scan_one(scanner, &mut workspace, &input));
                    outcomes.lock().push((index, outcome));
                }
            });
        }
    });
    if shows {
        let _ = write!(stderr(), "\r{count} files scanned    \n");
    }
    let mut outcomes = outcomes.into_inner();
    outcomes.sort_by_key(|(index, _)| *index);
    let (mut reports, mut unread) = (Vec::new(), Vec::new());
    for (_, outcome) in outcomes {
        match outcome {
            Ok(report) if report.is_clean() => {}
            Ok(report) => reports.push(report),
            Err(error) => unread.push(error),
        }
    }
    (reports, unread)
}

fn scan_one(
    scanner: &Scanner,
    workspace: &mut Workspace,
    input: &Input,
) -> anyhow::Result<FileReport> {
    let bytes = input.read()?;
    let body = Body {
        bytes: &bytes,
        content_type: None,
        content_encoding: None,
    };
    let report = scanner.scan(workspace, body, None);
    let found = report.findings.iter();
    Ok(FileReport {
        file: input.name(),
        found: found.map(|finding| Found::new(finding, &bytes)).collect(),
        undecodable: report.undecodable,
    })
}

#[cfg(test)]
mod tests;
