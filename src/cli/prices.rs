//! `tollgate prices`: checks, compares and installs price tables.

use std::fs::{self, File};
use std::io::{Write, stderr};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::EXIT_CONFIG;
use super::setup::ConfigArg;
use super::table::write_table;
use crate::pricing::{Change, ChangeKind, PriceTable};

/// A price that changes by more than this factor is taken for a slip.
const LEAP: u64 = 10;

/// Check, compare and install price tables
#[derive(Debug, Args)]
pub struct PricesArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report every mistake in price tables; without files, in those of the configuration
    Check {
        files: Vec<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Show what a new table changes; exit status 1 when it changes anything
    Diff {
        /// The new table
        new: PathBuf,
        /// The table to compare with; without it, the one of the configuration
        #[arg(long, value_name = "FILE")]
        old: Option<PathBuf>,
        #[command(flatten)]
        common: Common,
    },
    /// Put a new table in the place of the one that the configuration names
    ///
    /// The table is checked first and what changes is shown. A price that changes by more than a factor of ten is taken for
    /// a slip and refused. A running gateway takes the new prices at SIGHUP.
    Import {
        /// The new table
        new: PathBuf,
        /// Install it even if prices leap
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// # Errors
/// When a file cannot be read or written, or the result cannot be told.
pub fn run(args: &PricesArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Check { files, common } => check(files, common, out),
        Command::Diff { new, old, common } => diff(new, old.as_deref(), common, out),
        Command::Import { new, force, common } => import(new, *force, common, out),
    }
}

fn check(files: &[PathBuf], common: &Common, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let configured = if files.is_empty() {
        let prices = common.config.settings()?.prices;
        [vec![prices.file], prices.overlays].concat()
    } else {
        files.to_vec()
    };
    let mut told = Vec::new();
    let mut wrong = false;
    for path in &configured {
        let name = path.display().to_string();
        match PriceTable::parse(&name, &read(path)?) {
            Ok(table) => told.push(summary(&name, &table)),
            Err(faults) => {
                wrong = true;
                let lines = faults.iter().map(ToString::to_string);
                told.push(json!({ "file": name, "faults": lines.collect::<Vec<_>>() }));
            }
        }
    }
    if common.json {
        writeln!(out, "{}", Value::from(told))?;
    } else {
        told.iter().try_for_each(|file| write_check(file, out))?;
    }
    Ok(if wrong {
        ExitCode::from(EXIT_CONFIG)
    } else {
        ExitCode::SUCCESS
    })
}

fn summary(name: &str, table: &PriceTable) -> Value {
    let mut providers: Vec<_> = table
        .models()
        .iter()
        .map(|model| &*model.provider)
        .collect();
    providers.dedup();
    json!({
        "file": name, "revision": table.revision(), "models": table.models().len(), "providers": providers, "faults": [],
    })
}

fn write_check(file: &Value, out: &mut dyn Write) -> anyhow::Result<()> {
    let faults = file["faults"].as_array().map_or(&[][..], Vec::as_slice);
    for fault in faults {
        writeln!(out, "{}", fault.as_str().unwrap_or_default())?;
    }
    if faults.is_empty() {
        let text = |key: &str| file[key].as_str().unwrap_or_default();
        let providers = file["providers"].as_array().map_or(0, Vec::len);
        writeln!(
            out,
            "{}: {}, {} models of {providers} providers, no mistakes",
            text("file"),
            text("revision"),
            file["models"]
        )?;
    }
    Ok(())
}

fn diff(
    new: &Path,
    old: Option<&Path>,
    common: &Common,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let old = match old {
        Some(path) => path.to_owned(),
        None => common.config.settings()?.prices.file,
    };
    let (Some(old), Some((new, _))) = (table(&old)?, table(new)?) else {
        return Ok(ExitCode::from(EXIT_CONFIG));
    };
    let changes = old.0.diff(&new);
    write_changes(&changes, common.json, out)?;
    Ok(if changes.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn import(
    new: &Path,
    force: bool,
    common: &Common,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let target = common.config.settings()?.prices.file;
    let Some((new, text)) = table(new)? else {
        return Ok(ExitCode::from(EXIT_CONFIG));
    };
    let old = if target.exists() {
        table(&target)?
    } else {
        None
    };
    let changes = old.map(|(old, _)| old.diff(&new)).unwrap_or_default();
    write_changes(&changes, common.json, out)?;
    let leaps: Vec<String> = changes
        .iter()
        .filter(|change| leaps(change))
        .map(name)
        .collect();
    if !leaps.is_empty() && !force {
        bail!(
            "prices of {} change by more than a factor of {LEAP}; if they are right, repeat with --force",
            leaps.join(", ")
        );
    }
    install(&target, &text).with_context(|| format!("cannot write {}", target.display()))?;
    if !common.json {
        writeln!(out, "{}: {}", target.display(), new.revision())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn leaps(change: &Change) -> bool {
    matches!(&change.kind, ChangeKind::Changed(list) if list.iter().any(|figure| figure.is_leap(LEAP)))
}

fn name(change: &Change) -> String {
    format!("{}/{}", change.provider, change.model)
}

/// Reads a table and its text; mistakes go to standard error.
fn table(path: &Path) -> anyhow::Result<Option<(PriceTable, String)>> {
    let text = read(path)?;
    match PriceTable::parse(&path.display().to_string(), &text) {
        Ok(table) => Ok(Some((table, text))),
        Err(faults) => {
            faults
                .iter()
                .try_for_each(|fault| writeln!(stderr(), "{fault}"))?;
            Ok(None)
        }
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Puts the text in place at once: a gateway that reloads sees the old table or the new one. What the name leads to is
/// replaced, and keeps its mode and, where that may be said, its owner.
fn install(target: &Path, text: &str) -> std::io::Result<()> {
    let old = fs::canonicalize(target).ok();
    let target = old.as_deref().unwrap_or(target);
    let beside = target.with_extension("toml.new");
    let mut file = File::create(&beside)?;
    if old.is_some() {
        let old = fs::metadata(target)?;
        let _given = fchown(&file, Some(old.uid()), Some(old.gid()));
        file.set_permissions(old.permissions())?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, target)
}

fn write_changes(changes: &[Change], json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        let list: Vec<Value> = changes.iter().map(json_of).collect();
        writeln!(out, "{}", Value::from(list))?;
        return Ok(());
    }
    if changes.is_empty() {
        writeln!(out, "no changes")?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = changes.iter().flat_map(rows).collect();
    write_table(out, &["MODEL", "WHAT", "OLD", "NEW"], &rows)?;
    Ok(())
}

fn rows(change: &Change) -> Vec<Vec<String>> {
    let row = |what: &str, old: String, new: String| vec![name(change), what.to_owned(), old, new];
    match &change.kind {
        ChangeKind::Added => vec![row("model", "-".to_owned(), "added".to_owned())],
        ChangeKind::Removed => vec![row("model", "removed".to_owned(), "-".to_owned())],
        ChangeKind::Changed(list) => {
            let shown = |figure: Option<_>| {
                figure.map_or_else(|| "-".to_owned(), |f: crate::pricing::Figure| f.to_string())
            };
            list.iter()
                .map(|figure| row(&figure.what, shown(figure.old), shown(figure.new)))
                .collect()
        }
    }
}

fn json_of(change: &Change) -> Value {
    let figures: Vec<Value> = match &change.kind {
        ChangeKind::Changed(list) => {
            let shown = |figure: Option<crate::pricing::Figure>| figure.map(|f| f.to_string());
            let one = |d: &crate::pricing::Difference| json!({ "what": d.what, "old": shown(d.old), "new": shown(d.new) });
            list.iter().map(one).collect()
        }
        _ => Vec::new(),
    };
    let kind = match change.kind {
        ChangeKind::Added => "added",
        ChangeKind::Removed => "removed",
        ChangeKind::Changed(_) => "changed",
    };
    json!({ "provider": change.provider, "model": change.model, "change": kind, "figures": figures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    const OLD: &str = "revision = \"one\"\n[[model]]\nprovider = \"p\"\nid = \"m\"\nprice = { input = \"1\", output = \"2\" }\n";

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.write(
                "tollgate.toml",
                "[provider.p]\ndialect = \"openai\"\naddresses = [\"http://127.0.0.1:1\"]\ncredential = \"env:TOLLGATE_TEST_NO_SUCH_KEY\"\n",
            );
            folder.write("prices.toml", OLD);
            folder
        }

        fn path(&self, name: &str) -> String {
            self.0.path().join(name).display().to_string()
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.path(name), text).unwrap();
        }

        fn run(&self, words: &[&str]) -> (String, String) {
            let config = self.path("tollgate.toml");
            let words = ["tollgate", "prices"]
                .iter()
                .chain(words)
                .copied()
                .chain(["--config", &config]);
            let mut out = Vec::new();
            let code = Cli::try_parse_from(words).unwrap().run(&mut out);
            let code = code.map_or_else(|error| format!("{error:#}"), |code| format!("{code:?}"));
            (code, String::from_utf8(out).unwrap())
        }
    }

    fn exit(code: u8) -> String {
        format!("{:?}", ExitCode::from(code))
    }

    #[test]
    fn check_tells_what_is_there_or_what_is_wrong() {
        let folder = Folder::new();
        let (code, out) = folder.run(&["check"]);
        assert_eq!(code, exit(0));
        assert!(
            out.ends_with("prices.toml: one, 1 models of 1 providers, no mistakes\n"),
            "{out}"
        );
        folder.write("wrong.toml", "revision = 5\n");
        let (code, out) = folder.run(&["check", &folder.path("wrong.toml")]);
        assert_eq!(code, exit(78));
        assert!(
            out.contains("wrong.toml:1:12  `revision` must be a text"),
            "{out}"
        );
    }

    #[test]
    fn diff_shows_what_changes() {
        let folder = Folder::new();
        folder.write(
            "new.toml",
            &OLD.replace("\"2\"", "\"2.5\"").replace("one", "two"),
        );
        let (code, out) = folder.run(&["diff", &folder.path("new.toml")]);
        assert_eq!(code, exit(1));
        assert!(out.contains("p/m    output        $2.00  $2.50\n"), "{out}");
        let (code, out) = folder.run(&["diff", &folder.path("prices.toml"), "--json"]);
        assert_eq!((code, out.as_str()), (exit(0), "[]\n"));
    }

    #[test]
    fn import_keeps_the_tables_mode_and_the_link_to_it() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let folder = Folder::new();
        let (real, link) = (folder.path("real.toml"), folder.path("prices.toml"));
        fs::rename(&link, &real).unwrap();
        symlink("real.toml", &link).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o664)).unwrap();
        folder.write("new.toml", &OLD.replace("one", "two"));
        let (code, _) = folder.run(&["import", &folder.path("new.toml")]);
        assert_eq!(code, exit(0));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("two"));
        assert_eq!(
            fs::metadata(&real).unwrap().permissions().mode() & 0o777,
            0o664
        );
    }

    #[test]
    fn import_installs_a_right_table_and_refuses_leaps() {
        let folder = Folder::new();
        let installed = || fs::read_to_string(folder.path("prices.toml")).unwrap();
        folder.write(
            "leap.toml",
            &OLD.replace("\"2\"", "\"2000\"").replace("one", "two"),
        );
        let (code, _) = folder.run(&["import", &folder.path("leap.toml")]);
        assert!(
            code.contains("p/m change by more than a factor of 10"),
            "{code}"
        );
        assert_eq!(installed(), OLD);
        let (code, _) = folder.run(&["import", &folder.path("leap.toml"), "--force"]);
        assert_eq!(code, exit(0));
        assert!(installed().contains("two"));
        folder.write("wrong.toml", "oops");
        assert_eq!(
            folder.run(&["import", &folder.path("wrong.toml")]).0,
            exit(78)
        );
        assert!(installed().contains("two"));
    }
}
