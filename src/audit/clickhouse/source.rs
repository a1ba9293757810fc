//! Asking ClickHouse: the same questions as the month files answer.

use clickhouse::Client;
use clickhouse::error::Error;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{Server, rows};
use crate::audit::chain::Seal;
use crate::audit::query::{
    Bound, By, Chain, Filter, INPUT, OUTPUT, Order, QueryError, Source, Sum,
};
use crate::audit::record::{Place, Record};
use crate::audit::wire::Malformed;
use crate::domain::Usd;

/// The rows of a fleet. Used by the command line, which has no runtime of its own.
pub struct Warehouse {
    client: Client,
    server: Server,
    runtime: Runtime,
}

fn failed(error: &Error) -> QueryError {
    QueryError::ClickHouse(error.to_string())
}

fn malformed(malformed: Malformed) -> QueryError {
    QueryError::ClickHouse(malformed.0.to_owned())
}

/// Values to bind: each is named, typed in the SQL and sent beside it.
#[derive(Default)]
struct Values(Vec<String>);

impl Values {
    fn bind(&mut self, bound: Bound) -> String {
        let name = format!("p{}", self.0.len());
        let (sql, text) = match bound {
            Bound::Time(at) => (
                format!("fromUnixTimestamp64Micro({{{name}:Int64}}, 'UTC')"),
                at.micros().to_string(),
            ),
            Bound::Whole(number) => (format!("{{{name}:UInt64}}"), number.to_string()),
            Bound::Id(id) => (format!("{{{name}:UUID}}"), id.to_string()),
            Bound::Text(text) => (format!("{{{name}:String}}"), text),
        };
        self.0.push(text);
        sql
    }
}

impl Warehouse {
    /// # Errors
    /// When no runtime can be built. The server is not asked yet.
    pub fn new(server: Server) -> std::io::Result<Self> {
        Ok(Self {
            client: server.client(),
            server,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    fn ask(&self, sql: &str, values: Values) -> Result<Vec<u8>, QueryError> {
        let mut query = self.client.query_raw(sql);
        for (index, value) in values.0.into_iter().enumerate() {
            query = query.param(&format!("p{index}"), value);
        }
        self.runtime
            .block_on(async { query.fetch_bytes("RowBinary")?.collect().await })
            .map(|bytes| bytes.to_vec())
            .map_err(|error| failed(&error))
    }

    fn records(&self, sql: &str, values: Values) -> Result<Vec<Record<'static>>, QueryError> {
        let bytes = self.ask(sql, values)?;
        read_all(&bytes, rows::read)
    }
}

fn read_all<T>(
    bytes: &[u8],
    read: impl Fn(&mut &[u8]) -> Result<T, Malformed>,
) -> Result<Vec<T>, QueryError> {
    let mut rest = bytes;
    let mut list = Vec::new();
    while !rest.is_empty() {
        list.push(read(&mut rest).map_err(malformed)?);
    }
    Ok(list)
}

fn group(by: By) -> String {
    match by {
        By::Team => "toString(team)".to_owned(),
        By::User => "concat(team, '/', user)".to_owned(),
        By::Key => "key".to_owned(),
        By::Model => "toString(priced_as)".to_owned(),
        By::Day => "formatDateTime(at, '%Y-%m-%d', 'UTC')".to_owned(),
        By::Context => format!(
            "multiIf({INPUT} < 8000, 'below 8K', {INPUT} < 32000, '8K to 32K', \
             {INPUT} < 100000, '32K to 100K', {INPUT} < 500000, '100K to 500K', '500K and above')"
        ),
    }
}

impl Source for Warehouse {
    fn page(
        &mut self,
        filter: &Filter,
        order: Order,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<Record<'static>>, QueryError> {
        let mut values = Values::default();
        let mut conditions = filter.sql(|bound| values.bind(bound));
        let (sign, direction) = match order {
            Order::Oldest => (">", ""),
            Order::Newest => ("<", " DESC"),
        };
        if let Some(place) = after {
            let at = crate::domain::Moment::from_micros(place.at.cast_signed());
            let (at, boot, seq) = (
                values.bind(Bound::Time(at)),
                values.bind(Bound::Id(place.boot)),
                values.bind(Bound::Whole(place.seq)),
            );
            conditions = format!("{conditions} AND (at, boot, seq) {sign} ({at}, {boot}, {seq})");
        }
        let (names, table) = (rows::names(), self.server.table("audit"));
        let sql = format!(
            "SELECT {names} FROM {table} WHERE {conditions} \
             ORDER BY at{direction}, boot{direction}, seq{direction} LIMIT {limit}"
        );
        self.records(&sql, values)
    }

    fn sums(&mut self, filter: &Filter, by: By) -> Result<Vec<Sum>, QueryError> {
        let mut values = Values::default();
        let conditions = filter.sql(|bound| values.bind(bound));
        let (group, table) = (group(by), self.server.table("audit"));
        let sql = format!(
            "SELECT {group} AS name, count(), countIf(status >= 400 OR decision = 'lost'), sum(cost_nanos), \
             sum({INPUT}), sum({OUTPUT}), sum(latency_us) \
             FROM {table} WHERE {conditions} AND kind = 'request' GROUP BY name ORDER BY name"
        );
        let bytes = self.ask(&sql, values)?;
        read_all(&bytes, |rest| {
            Ok(Sum {
                group: rows::take_text(rest)?,
                requests: rows::take_whole(rest)?,
                errors: rows::take_whole(rest)?,
                cost: Usd::from_nanos(rows::take_whole(rest)?),
                input: rows::take_whole(rest)?,
                output: rows::take_whole(rest)?,
                latency_us: rows::take_whole(rest)?,
            })
        })
    }
}

impl Chain for Warehouse {
    fn boots(&mut self) -> Result<Vec<Uuid>, QueryError> {
        let sql = format!("SELECT DISTINCT boot FROM {}", self.server.table("audit"));
        let bytes = self.ask(&sql, Values::default())?;
        let mut boots = read_all(&bytes, rows::take_id)?;
        // Sorted here: ClickHouse compares UUIDs by their second half first.
        boots.sort_unstable();
        Ok(boots)
    }

    fn ends(&mut self) -> Result<Vec<(Uuid, u64)>, QueryError> {
        let table = self.server.table("audit");
        let sql = format!("SELECT boot, max(seq) + 1 FROM {table} GROUP BY boot");
        let bytes = self.ask(&sql, Values::default())?;
        let mut ends = read_all(&bytes, |rest| {
            Ok((rows::take_id(rest)?, rows::take_whole(rest)?))
        })?;
        ends.sort_unstable();
        Ok(ends)
    }

    fn chain(
        &mut self,
        boot: Uuid,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Record<'static>>, QueryError> {
        let mut values = Values::default();
        let (boot, from) = (
            values.bind(Bound::Id(boot)),
            values.bind(Bound::Whole(from)),
        );
        let (names, table) = (rows::names(), self.server.table("audit"));
        let sql = format!(
            "SELECT {names} FROM {table} WHERE boot = {boot} AND seq >= {from} ORDER BY seq LIMIT {limit}"
        );
        self.records(&sql, values)
    }

    fn seals(&mut self) -> Result<Vec<Seal>, QueryError> {
        let sql = format!(
            "SELECT boot, seq, hash, at, signature FROM {} ORDER BY at",
            self.server.table("seals")
        );
        let bytes = self.ask(&sql, Values::default())?;
        read_all(&bytes, rows::read_seal)
    }
}
