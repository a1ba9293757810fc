//! Tells the audit what an operator did through the command line.

use anyhow::Context;
use uuid::Uuid;

use super::setup::operator;
use crate::audit::{Label, OperatorAction, inbox};
use crate::config::Settings;
use crate::directory::Directory;
use crate::domain::{Moment, Name};

/// One thing that was done.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// `key.created`, `budget.granted`, `directory.changed`, …
    pub what: &'static str,
    /// A key's or budget's id, or the changed thing in words.
    pub subject: &'a str,
    /// `field: before -> after`; never a secret.
    pub change: &'a str,
    pub team: Option<&'a Name>,
}

impl Done<'_> {
    /// What the audit keeps of it.
    #[must_use]
    pub fn action(&self, organisation: &Name, now: Moment) -> OperatorAction {
        OperatorAction {
            id: Uuid::now_v7(),
            at: now,
            organisation: Some(organisation.clone()),
            team: self.team.cloned(),
            who: Label::clean(&operator(), 64),
            what: self.what,
            subject: Label::clean(self.subject, 128),
            change: Label::clean(&self.change.replace('→', "->"), 256),
        }
    }
}

/// Leaves it for the log, which only a gateway writes.
///
/// # Errors
/// When it cannot be left there. What was done stays done; the directory's own history has it too.
pub fn note(
    settings: &Settings,
    directory: &Directory,
    done: Done<'_>,
    now: Moment,
) -> anyhow::Result<()> {
    let organisation = directory.load()?.organisation;
    let action = done.action(&organisation, now);
    inbox::submit(&settings.state.dir, &action)
        .context("it is done, but the audit could not be told")?;
    settle(settings, directory)
}

/// Tells the audit what an interrupted command had done.
///
/// # Errors
/// When the directory's history cannot be read.
pub fn settle(settings: &Settings, directory: &Directory) -> anyhow::Result<()> {
    let done = |moments: &[Moment]| directory.was_done(moments);
    Ok(inbox::settle(&settings.state.dir, done)?)
}
