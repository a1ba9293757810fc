//! What the database's JSON columns hold. One record for each thing, its fields named as in `directory.toml`, so that a
//! change can be told field by field.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::DirectoryError;
use super::organisation::Budget;
use crate::budget::{AtCap, BudgetSpec, OnStoreLoss, Scope, Window, Zone};
use crate::domain::{Category, Usd};
use crate::policy::{Action, Hours, Limits, ModelList, TeamPolicy};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsRecord {
    requests_per_minute: Option<NonZeroU32>,
    tokens_per_minute: Option<NonZeroU32>,
    concurrent: Option<NonZeroU32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TeamRecord {
    models: Option<Vec<String>>,
    requests_per_minute: Option<NonZeroU32>,
    tokens_per_minute: Option<NonZeroU32>,
    concurrent: Option<NonZeroU32>,
    actions: BTreeMap<String, String>,
    /// Absent in a directory of an earlier version.
    #[serde(default)]
    restore_in_network_commands: bool,
    entities: Vec<String>,
    hours: Option<String>,
    default_model: Option<String>,
    fallback_models: Vec<String>,
    session_limit: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BudgetRecord {
    limit: String,
    zone: String,
    at_cap: String,
    alert_at: Vec<u8>,
    on_store_loss: Option<String>,
    clamp: bool,
    cut: bool,
}

/// A record as its column has it.
pub(super) fn to_json(record: impl Serialize) -> Result<Value, DirectoryError> {
    serde_json::to_value(record).map_err(|error| DirectoryError::Corrupt(error.to_string()))
}

/// A column read back; `what` names the row in the error.
pub(super) fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, DirectoryError> {
    serde_json::from_str(text).map_err(|error| DirectoryError::Corrupt(format!("{what}: {error}")))
}

impl From<&Limits> for LimitsRecord {
    fn from(limits: &Limits) -> Self {
        Self {
            requests_per_minute: limits.requests_per_minute,
            tokens_per_minute: limits.tokens_per_minute,
            concurrent: limits.concurrent,
        }
    }
}

impl From<LimitsRecord> for Limits {
    fn from(record: LimitsRecord) -> Self {
        Self {
            requests_per_minute: record.requests_per_minute,
            tokens_per_minute: record.tokens_per_minute,
            concurrent: record.concurrent,
        }
    }
}

impl From<&TeamPolicy> for TeamRecord {
    fn from(policy: &TeamPolicy) -> Self {
        let action = |(category, action): (&Category, &Action)| {
            (category.to_string(), action.as_str().to_owned())
        };
        Self {
            models: policy
                .models
                .patterns()
                .map(|patterns| patterns.map(str::to_owned).collect()),
            requests_per_minute: policy.limits.requests_per_minute,
            tokens_per_minute: policy.limits.tokens_per_minute,
            concurrent: policy.limits.concurrent,
            actions: policy.actions.iter().map(action).collect(),
            restore_in_network_commands: policy.restore_in_network_commands,
            entities: policy.entities.clone(),
            hours: policy.hours.as_ref().map(ToString::to_string),
            default_model: policy.default_model.clone(),
            fallback_models: policy.fallback_models.clone(),
            session_limit: policy.session_limit.map(|limit| limit.to_string()),
        }
    }
}

impl TeamRecord {
    pub(super) fn policy(self, what: &str) -> Result<TeamPolicy, DirectoryError> {
        let corrupt = |text: &str| DirectoryError::Corrupt(format!("{what}: {text}"));
        let action = |(category, word): (&String, &String)| {
            let known = Action::WORDS.iter().find(|(name, _)| name == word);
            known
                .filter(|_| Category::is_valid(category))
                .map(|(_, action)| (Category::new(category), *action))
                .ok_or_else(|| corrupt("actions"))
        };
        let models = self.models.as_ref();
        Ok(TeamPolicy {
            models: models.map_or(ModelList::all(), |list| {
                ModelList::only(list.iter().map(String::as_str))
            }),
            limits: Limits {
                requests_per_minute: self.requests_per_minute,
                tokens_per_minute: self.tokens_per_minute,
                concurrent: self.concurrent,
            },
            actions: self.actions.iter().map(action).collect::<Result<_, _>>()?,
            hours: self
                .hours
                .as_deref()
                .map(Hours::parse)
                .transpose()
                .map_err(|error| corrupt(&error))?,
            session_limit: self
                .session_limit
                .as_deref()
                .map(|text| dollars(text, what))
                .transpose()?,
            restore_in_network_commands: self.restore_in_network_commands,
            entities: self.entities,
            default_model: self.default_model,
            fallback_models: self.fallback_models,
        })
    }
}

fn dollars(text: &str, what: &str) -> Result<Usd, DirectoryError> {
    Usd::parse(text).map_err(|error| DirectoryError::Corrupt(format!("{what}: \"{text}\" {error}")))
}

impl From<&Budget> for BudgetRecord {
    fn from(budget: &Budget) -> Self {
        let spec = &budget.spec;
        let at_cap = match spec.at_cap {
            AtCap::Block => "block",
            AtCap::Alert => "alert",
        };
        Self {
            limit: spec.limit.to_string(),
            zone: spec.zone.name().to_owned(),
            at_cap: at_cap.to_owned(),
            alert_at: spec.alert_at.clone(),
            on_store_loss: budget.on_store_loss.map(|word| word.to_string()),
            clamp: spec.clamp,
            cut: spec.cut,
        }
    }
}

impl BudgetRecord {
    pub(super) fn budget(
        self,
        scope: Scope,
        window: Window,
        revision: u64,
    ) -> Result<Budget, DirectoryError> {
        let what = format!("budget {scope}/{}", window.as_str());
        let corrupt = |text: &str| DirectoryError::Corrupt(format!("{what}: {text}"));
        let zone = Zone::named(&self.zone).map_err(|error| corrupt(&error.to_string()))?;
        let on_store_loss = match self.on_store_loss.as_deref() {
            None => None,
            Some(word) => Some(OnStoreLoss::parse(word).ok_or_else(|| corrupt("on_store_loss"))?),
        };
        let at_cap = match self.at_cap.as_str() {
            "block" => AtCap::Block,
            "alert" => AtCap::Alert,
            _ => return Err(corrupt("at_cap")),
        };
        let spec = BudgetSpec {
            at_cap,
            alert_at: self.alert_at,
            on_store_loss: on_store_loss.unwrap_or_default(),
            clamp: self.clamp,
            cut: self.cut,
            revision,
            ..BudgetSpec::new(scope, window, zone, dollars(&self.limit, &what)?)
        };
        Ok(Budget {
            spec,
            on_store_loss,
        })
    }
}
