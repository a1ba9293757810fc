//! `audit verify`: what holds, and the first row that does not.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::json;

use crate::audit::LogSource;
use crate::audit::chain::{Seal, read_public_key};
use crate::audit::verify::{Report, verify};
use crate::audit::witness::read_seals;
use crate::cli::setup::ConfigArg;
use crate::cli::store::StoreArg;

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The segments that still stand, instead of a store
    #[arg(long, conflicts_with = "store")]
    log: bool,
    /// The public key of the seals; by default the one in the state directory
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Seals that a witness kept outside (`seal_file`, or what a server at `seal_url` stored, one JSON object a line)
    #[arg(long, value_name = "FILE")]
    seals: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArg,
    #[command(flatten)]
    config: ConfigArg,
}

/// # Errors
/// A wrong configuration; a store that cannot be read.
pub fn run(args: &VerifyArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let settings = args.config.settings()?;
    let path = match &args.key {
        Some(path) => path.clone(),
        None => settings.state.dir.join("audit.pub"),
    };
    let key = read_public_key(&path).with_context(|| path.display().to_string())?;
    let witnessed = match &args.seals {
        Some(path) => witnessed(path)?,
        None => Vec::new(),
    };
    let mut damage = Vec::new();
    let report = if args.log {
        let mut log = LogSource::open(&settings.state.dir)?;
        for place in &log.damage {
            damage.push(format!(
                "{} at byte {}: {} bytes do not read",
                place.path.display(),
                place.offset,
                place.bytes
            ));
        }
        verify(&mut log, &witnessed, &key)?
    } else {
        verify(args.store.open(&settings)?.chain(), &witnessed, &key)?
    };
    if args.json {
        write_json(&report, &damage, out)?;
    } else {
        write_text(&report, &damage, out)?;
    }
    Ok(if report.fault_count == 0 && damage.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The seals that a witness kept. Without any, nothing would be compared.
fn witnessed(path: &Path) -> anyhow::Result<Vec<Seal>> {
    let seals = read_seals(path).with_context(|| path.display().to_string())?;
    ensure!(
        !seals.is_empty(),
        "{}: there is no seal in it",
        path.display()
    );
    Ok(seals)
}

fn write_json(report: &Report, damage: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    let faults: Vec<_> = report
        .faults
        .iter()
        .map(
            |fault| json!({ "boot": fault.boot.to_string(), "seq": fault.seq, "what": fault.what }),
        )
        .collect();
    let object = json!({
        "rows": report.rows, "boots": report.boots, "seals": report.seals, "unsealed": report.unsealed,
        "fault_count": report.fault_count, "faults": faults, "damage": damage, "notes": report.notes,
    });
    writeln!(out, "{object}")?;
    Ok(())
}

fn write_text(report: &Report, damage: &[String], out: &mut dyn Write) -> anyhow::Result<()> {
    for place in damage {
        writeln!(out, "damaged  {place}")?;
    }
    for fault in &report.faults {
        writeln!(
            out,
            "bad      boot {} row {}: {}",
            fault.boot, fault.seq, fault.what
        )?;
    }
    for note in &report.notes {
        writeln!(out, "note     {note}")?;
    }
    let Report {
        rows,
        boots,
        seals,
        unsealed,
        fault_count,
        ..
    } = report;
    let verdict = if *fault_count == 0 && damage.is_empty() {
        "verified"
    } else {
        "NOT VERIFIED"
    };
    writeln!(
        out,
        "{verdict}: {rows} rows of {boots} boots, {seals} seals; the last {unsealed} rows are not sealed yet; {fault_count} faults"
    )?;
    Ok(())
}
