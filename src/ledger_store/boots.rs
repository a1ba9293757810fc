//! Who this node is, through restarts: its name, and the boots whose leases still want a last word.
//!
//! A node that died left money in its lease. Its journal knows what that boot spent: what is on the books now, less what
//! was on them when it started. The difference is told to the store as the lease's last word, and the rest goes back.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::{Ask, Balances, Boot, BudgetId, BudgetView, Purpose, Span};
use crate::domain::{Moment, Usd};

/// The file in the state directory.
const FILE: &str = "leases.json";
/// The store forgets a budget some days after its period; an older boot has nothing to tell.
const OLDEST_DAYS: i64 = 45;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    node: String,
    /// Oldest first; the last one is the boot before this, or this.
    boots: Vec<KeptBoot>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptBoot {
    boot: String,
    /// Which start of the machine it ran under: a power cut may have taken the journal's last records.
    machine: String,
    /// Budget, start of its period in microseconds, nano-dollars spent in it before this boot.
    opening: Vec<(String, i64, u64)>,
}

/// How surely the journal has everything that a dead process admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// Every record is on disk before its request leaves.
    Strict,
    /// The last records may be lost with the machine's memory, not with the process.
    Batched,
}

/// The node's name and its boots.
#[derive(Debug)]
pub struct Boots {
    path: PathBuf,
    kept: Kept,
    this: Boot,
    /// The books as recovered when this boot started.
    recovered: Balances,
    journal: Journal,
}

/// What can be wrong with the file.
#[derive(Debug, thiserror::Error)]
pub enum BootsError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: is not the list of this node's leases: {source}")]
    Malformed {
        path: PathBuf,
        source: serde_json::Error,
    },
}

impl Boots {
    /// Reads who this node is, or makes it up the first time; begins a new boot, and remembers it before anything is spent.
    ///
    /// # Errors
    /// When the file cannot be read, written or understood.
    pub fn open(
        directory: &Path,
        recovered: &Balances,
        journal: Journal,
        now: Moment,
    ) -> Result<Self, BootsError> {
        let path = directory.join(FILE);
        let mut kept = read(&path)?;
        if kept.node.is_empty() {
            kept.node = format!("n{:016x}", rand::random::<u64>());
        }
        let name = format!("{:x}-{:08x}", now.seconds(), rand::random::<u32>());
        let this = boot(&kept.node, &name).ok_or_else(|| malformed(&path))?;
        kept.boots.push(KeptBoot {
            boot: name,
            machine: machine(),
            opening: entries(recovered, now),
        });
        let boots = Self {
            path,
            kept,
            this,
            recovered: recovered.clone(),
            journal,
        };
        boots.write()?;
        Ok(boots)
    }

    pub fn this(&self) -> &Boot {
        &self.this
    }

    /// The last words of all former boots: about every budget that they spent from, and every one that is known now, where
    /// they may hold a lease that they never used.
    pub fn last_words(&self, known: &[BudgetView], now: Moment) -> Vec<Ask> {
        let mut words = Vec::new();
        for (former, next) in self.kept.boots.iter().zip(self.kept.boots.iter().skip(1)) {
            let Some(boot) = boot(&self.kept.node, &former.boot) else {
                continue;
            };
            let last = next.boot == *self.this.boot;
            let after = if last {
                entries(&self.recovered, now)
            } else {
                next.opening.clone()
            };
            let before = balances(&former.opening);
            let purpose = self.purpose(former);
            for (budget, span, cap, spent) in spent_between(&before, &balances(&after), known) {
                let word = Ask::last_word(boot.clone(), budget, span, spent, cap);
                words.push(Ask { purpose, ..word });
            }
        }
        words
    }

    /// The store has heard all last words: only this boot is left to remember.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget_former(&mut self) -> Result<(), BootsError> {
        self.kept.boots.retain(|kept| *kept.boot == *self.this.boot);
        self.write()
    }

    /// A lease may be closed only if the journal surely has all that was admitted under it. Otherwise what is known is
    /// reported, and the rest stays where it is until the period ends.
    fn purpose(&self, former: &KeptBoot) -> Purpose {
        let surely = self.journal == Journal::Strict || former.machine == machine();
        if surely {
            Purpose::Close
        } else {
            Purpose::Beat
        }
    }

    fn write(&self) -> Result<(), BootsError> {
        let io = |source| BootsError::Io {
            path: self.path.clone(),
            source,
        };
        let text = serde_json::to_vec(&self.kept).map_err(|source| BootsError::Malformed {
            path: self.path.clone(),
            source,
        })?;
        let beside = self.path.with_extension("json.new");
        let mut file = File::create(&beside).map_err(io)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        fs::rename(&beside, &self.path).map_err(io)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(io)
    }
}

fn read(path: &Path) -> Result<Kept, BootsError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::default()),
        Err(source) => {
            return Err(BootsError::Io {
                path: path.to_owned(),
                source,
            });
        }
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|source| BootsError::Malformed {
        path: path.to_owned(),
        source,
    })?;
    let names = kept
        .boots
        .iter()
        .all(|kept_boot| boot(&kept.node, &kept_boot.boot).is_some());
    if names {
        Ok(kept)
    } else {
        Err(malformed(path))
    }
}

fn malformed(path: &Path) -> BootsError {
    BootsError::Malformed {
        path: path.to_owned(),
        source: serde::de::Error::custom("a name in it cannot be one"),
    }
}

fn boot(node: &str, boot: &str) -> Option<Boot> {
    Boot::new(node, boot)
}

/// The start of this machine, as the kernel names it; empty where it does not, which counts as the same.
fn machine() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// What is recent enough to matter, in the file's form.
fn entries(balances: &Balances, now: Moment) -> Vec<(String, i64, u64)> {
    let oldest = now.seconds() - OLDEST_DAYS * 86_400;
    balances
        .iter()
        .filter(|(_, start, _)| start.seconds() >= oldest || start.micros() == 0)
        .map(|(id, start, spent)| (id.to_string(), start.micros(), spent.nanos()))
        .collect()
}

fn balances(entries: &[(String, i64, u64)]) -> Balances {
    entries
        .iter()
        .map(|(id, start, spent)| {
            (
                BudgetId::new(id),
                Moment::from_micros(*start),
                Usd::from_nanos(*spent),
            )
        })
        .collect()
}

/// What grew between two states of the books; and the budgets known now, grown or not.
fn spent_between(
    before: &Balances,
    after: &Balances,
    known: &[BudgetView],
) -> Vec<(BudgetId, Span, Usd, Usd)> {
    let grown = |id: &BudgetId, start| after.spent(id, start).left_after(before.spent(id, start));
    let mut words: Vec<_> = known
        .iter()
        .map(|view| {
            let span = Span {
                start: view.since,
                end: view.resets,
            };
            let spent = grown(&view.id, view.since);
            (view.id.clone(), span, view.limit, spent)
        })
        .collect();
    for (id, start, _) in after.iter() {
        let spent = grown(id, start);
        let listed = known
            .iter()
            .any(|view| view.id == *id && view.since == start);
        if spent > Usd::ZERO && !listed {
            let month = Duration::from_hours(32 * 24);
            let end = (start.micros() != 0).then(|| start.plus(month));
            words.push((id.clone(), Span { start, end }, Usd::ZERO, spent));
        }
    }
    words
}
