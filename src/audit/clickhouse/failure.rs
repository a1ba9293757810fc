//! What a failed request to ClickHouse means for the rows in it.

use clickhouse::error::Error;

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody knows whether the rows arrived, or the server is busy: send the very same range again.
    Again,
    /// The server says that it cannot read the rows; nothing of the range was taken.
    Rows,
    /// Nothing helps but an operator: rights, a missing table, a wrong setting. Rows wait.
    Operator,
}

impl Failure {
    /// By the exception's code where there is one: proxies and old servers change the status.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error {
            Error::BadResponse(text) => code(text).map_or(Self::Again, Self::of_code),
            Error::InvalidParams(_) | Error::Unsupported(_) => Self::Operator,
            _ => Self::Again,
        }
    }

    const fn of_code(code: u32) -> Self {
        match code {
            // What cannot be parsed: text, numbers, quotes, types, syntax, data that do not fit, a constraint.
            6 | 27 | 38 | 41 | 53 | 62 | 72 | 117 | 131 | 349 | 469 => Self::Rows,
            // Columns, tables, databases, settings, users, rights.
            16 | 36 | 47 | 60 | 73 | 81 | 115 | 164 | 192 | 193 | 194 | 291 | 497 | 516 => {
                Self::Operator
            }
            // Too much at once, memory, quorum, time-outs, and whatever this version does not know: never dropped.
            _ => Self::Again,
        }
    }
}

/// The number in `Code: 252. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_failure_never_gives_rows_up() {
        let of = |text: &str| Failure::of(&Error::BadResponse(text.to_owned()));
        assert_eq!(
            of("Code: 252. DB::Exception: Too many parts"),
            Failure::Again
        );
        assert_eq!(
            of("Code: 117. DB::Exception: Incorrect data"),
            Failure::Rows
        );
        assert_eq!(
            of("Code: 497. DB::Exception: Not enough privileges"),
            Failure::Operator
        );
        assert_eq!(of("Code: 99999. DB::Exception: New"), Failure::Again);
        assert_eq!(of("502 Bad Gateway"), Failure::Again);
        assert_eq!(Failure::of(&Error::TimedOut), Failure::Again);
    }
}
