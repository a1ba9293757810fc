//! What can be asked of a sink, and what every sink answers.

use uuid::Uuid;

use super::chain::Seal;
use super::record::{Place, Record};
use crate::domain::{Moment, Usd};

/// Which rows are asked for: all that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub since: Option<Moment>,
    /// Up to, but not including.
    pub until: Option<Moment>,
    pub request: Option<Uuid>,
    pub category: Option<String>,
    /// As asked for, or as priced.
    pub model: Option<String>,
    /// Columns that must hold exactly this text.
    pub equal: Vec<(Exact, String)>,
    /// Requests only, without the audit's own rows and operators' actions.
    pub requests_only: bool,
    /// Rows with a finding of any category.
    pub with_findings: bool,
}

/// A column that a filter may compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exact {
    Organisation,
    Team,
    User,
    Key,
    Provider,
    Decision,
    Kind,
}

impl Exact {
    #[must_use]
    pub const fn column(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::User => "user",
            Self::Key => "key",
            Self::Provider => "provider",
            Self::Decision => "decision",
            Self::Kind => "kind",
        }
    }
}

/// A value that a condition compares with; every store binds it, none pastes it into its SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    Time(Moment),
    Whole(u64),
    Id(Uuid),
    Text(String),
}

impl Filter {
    /// The filter as SQL that SQLite and ClickHouse both read; `bind` keeps a value and returns how the store names it.
    pub fn sql(&self, mut bind: impl FnMut(Bound) -> String) -> String {
        let mut parts = vec!["1 = 1".to_owned()];
        if let Some(since) = self.since {
            parts.push(format!("at >= {}", bind(Bound::Time(since))));
        }
        if let Some(until) = self.until {
            parts.push(format!("at < {}", bind(Bound::Time(until))));
        }
        if let Some(request) = self.request {
            parts.push(format!("request = {}", bind(Bound::Id(request))));
        }
        if let Some(model) = &self.model {
            let value = bind(Bound::Text(model.clone()));
            parts.push(format!("(model = {value} OR priced_as = {value})"));
        }
        if let Some(category) = &self.category {
            let value = bind(Bound::Text(format!(",{category}:")));
            parts.push(format!("instr(',' || findings, {value}) > 0"));
        }
        for (exact, text) in &self.equal {
            let value = bind(Bound::Text(text.clone()));
            parts.push(format!("\"{}\" = {value}", exact.column()));
        }
        if self.requests_only {
            parts.push("kind = 'request'".to_owned());
        }
        if self.with_findings {
            parts.push("findings <> ''".to_owned());
        }
        parts.join(" AND ")
    }
}

/// The order of a listing by time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Oldest,
    Newest,
}

/// What a sum is grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Team,
    User,
    Key,
    Model,
    Day,
    /// How many tokens the input had: the context panel.
    Context,
}

/// What a group of requests adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// The group's name: one part, or team and user.
    pub group: String,
    pub requests: u64,
    /// Answered with 400 and above, or lost.
    pub errors: u64,
    pub cost: Usd,
    pub input: u64,
    pub output: u64,
    /// Of all requests together, in microseconds.
    pub latency_us: u64,
}

impl Sum {
    /// Adds another part of the same group.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.cost = self.cost.saturating_add(other.cost);
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.latency_us = self.latency_us.saturating_add(other.latency_us);
    }
}

/// All input tokens of a row, as both databases compute them.
pub const INPUT: &str =
    "(input + cache_read + cache_write_5m + cache_write_1h + audio_input + image_input)";
/// All output tokens.
pub const OUTPUT: &str = "(output + audio_output + image_output)";

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error("{}: {source}", path.display())]
    Sqlite {
        path: std::path::PathBuf,
        source: rusqlite::Error,
    },
    #[error("{}: row {seq} of boot {boot}: {reason}", path.display())]
    Row {
        path: std::path::PathBuf,
        boot: Uuid,
        seq: u64,
        reason: &'static str,
    },
    #[error("ClickHouse: {0}")]
    ClickHouse(String),
    #[error(transparent)]
    Log(#[from] super::log::LogError),
}

/// A store that can be asked: SQLite, or ClickHouse.
pub trait Source {
    /// At most `limit` rows after a place, by time.
    ///
    /// # Errors
    /// When the store does not answer, or holds a row that does not read.
    fn page(
        &mut self,
        filter: &Filter,
        order: Order,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Record<'static>>, QueryError>;

    /// Sums of requests by group, in the order of the groups' names.
    ///
    /// # Errors
    /// When the store does not answer.
    fn sums(&mut self, filter: &Filter, by: By) -> Result<Vec<Sum>, QueryError>;
}

/// What holds chained rows: a store, or the log itself.
pub trait Chain {
    /// Every boot that has a row, in the order of time.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn boots(&mut self) -> Result<Vec<Uuid>, QueryError>;

    /// The number after the last row of each boot. What is before it can be read: rows come in the order of the chain.
    ///
    /// # Errors
    /// When the rows cannot be read.
    fn ends(&mut self) -> Result<Vec<(Uuid, u64)>, QueryError>;

    /// At most `limit` rows of a boot from a number on, in the order of the chain. Asked boot by boot, in their order.
    ///
    /// # Errors
    /// When the rows cannot be read, or one is no row.
    fn chain(
        &mut self,
        boot: Uuid,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Record<'static>>, QueryError>;

    /// Every seal.
    ///
    /// # Errors
    /// When they cannot be read.
    fn seals(&mut self) -> Result<Vec<Seal>, QueryError>;
}

/// Hands every row that passes the filter to `each`, page by page, until it says to stop.
///
/// # Errors
/// What the source or `each` returned.
pub fn for_each<E: From<QueryError>>(
    source: &mut dyn Source,
    filter: &Filter,
    order: Order,
    mut each: impl FnMut(&Record<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    const PAGE: usize = 1000;
    let mut after = None;
    loop {
        let page = source.page(filter, order, after, PAGE)?;
        for record in &page {
            if !each(record)? {
                return Ok(());
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.place()),
            _ => return Ok(()),
        }
    }
}
