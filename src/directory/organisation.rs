//! Teams, users and budgets: what a directory file says and what the store holds have the same shape.

use crate::budget::{BudgetSpec, OnStoreLoss};
use crate::domain::Name;
use crate::policy::{Limits, TeamPolicy};

/// An organisation as a file describes it or the store holds it; keys are apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Organisation {
    pub name: Name,
    pub teams: Vec<Team>,
    /// Of the organisation, its teams, users and keys: the scope tells whose.
    pub budgets: Vec<Budget>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Team {
    pub name: Name,
    pub policy: TeamPolicy,
    pub users: Vec<User>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct User {
    pub name: Name,
    pub limits: Limits,
}

/// A budget of the directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// Its `on_store_loss` holds only where [`Budget::on_store_loss`] is set.
    pub spec: BudgetSpec,
    /// Absent: as `[budget]` of the configuration says.
    pub on_store_loss: Option<OnStoreLoss>,
}

impl Budget {
    /// The budget with the configuration's word where it has none of its own.
    #[must_use]
    pub fn resolved(&self, default: OnStoreLoss) -> BudgetSpec {
        BudgetSpec {
            on_store_loss: self.on_store_loss.unwrap_or(default),
            ..self.spec.clone()
        }
    }
}
