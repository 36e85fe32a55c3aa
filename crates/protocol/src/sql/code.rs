//! Codes: what a caller may act on when something fails. The sentence beside a code is for people.
//!
//! Those of SQLite have SQLite's names, the extended one where there is one (<https://sqlite.org/rescode.html>); the others are Littoral's.

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Why something failed. As text: `SQLITE_CONSTRAINT_UNIQUE`, `BOOKMARK_UNKNOWN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Code {
    /// SQLite refused the statement or failed to run it: its extended result code.
    Sqlite(i32),
    /// `BOOKMARK_INVALID`: the session's token is neither a bookmark nor a constraint.
    BookmarkInvalid,
    /// `BOOKMARK_UNKNOWN`: the bookmark names no state of this database. A session without it will be served.
    BookmarkUnknown,
    /// `STATE_EXPIRED`: that state of the past is no longer kept.
    StateExpired,
    /// `PARAMETERS`: they do not fit the statement.
    Parameters,
    /// `NO_STATEMENT`: the text holds none.
    NoStatement,
    /// `TRANSACTION_STATEMENT`: BEGIN, COMMIT, SAVEPOINT and their like.
    TransactionStatement,
    /// `RAN_TOO_LONG`: the call was stopped.
    RanTooLong,
    /// `TIMED_OUT`: the call took longer than its caller wants to wait, and changed nothing.
    TimedOut,
    /// `RESULT_TOO_LARGE`: the results are larger than one answer may be.
    ResultTooLarge,
    /// `STORE_FAILED`: the database could not be read or written. Nothing was changed.
    StoreFailed,
    /// `REQUEST_MALFORMED`: the request is not what the protocol sends.
    RequestMalformed,
    /// `OUTCOME_UNKNOWN`: the instance was lost while it ran. It may have been written.
    OutcomeUnknown,
    /// `NO_DATABASE`: there is no database of this name, or no longer the one that was meant.
    NoDatabase,
    /// `CONFLICT`: the database has changed since the caller looked. Nothing was changed now.
    Conflict,
    /// One that this version does not know.
    Other,
}

/// Littoral's own, as text.
const OWN: [(Code, &str); 15] = [
    (Code::BookmarkInvalid, "BOOKMARK_INVALID"),
    (Code::BookmarkUnknown, "BOOKMARK_UNKNOWN"),
    (Code::StateExpired, "STATE_EXPIRED"),
    (Code::Parameters, "PARAMETERS"),
    (Code::NoStatement, "NO_STATEMENT"),
    (Code::TransactionStatement, "TRANSACTION_STATEMENT"),
    (Code::RanTooLong, "RAN_TOO_LONG"),
    (Code::TimedOut, "TIMED_OUT"),
    (Code::ResultTooLarge, "RESULT_TOO_LARGE"),
    (Code::StoreFailed, "STORE_FAILED"),
    (Code::RequestMalformed, "REQUEST_MALFORMED"),
    (Code::OutcomeUnknown, "OUTCOME_UNKNOWN"),
    (Code::NoDatabase, "NO_DATABASE"),
    (Code::Conflict, "CONFLICT"),
    (Code::Other, "OTHER"),
];

/// SQLite's primary result codes that are errors.
const PRIMARY: [(i32, &str); 23] = [
    (1, "SQLITE_ERROR"),
    (2, "SQLITE_INTERNAL"),
    (3, "SQLITE_PERM"),
    (4, "SQLITE_ABORT"),
    (5, "SQLITE_BUSY"),
    (6, "SQLITE_LOCKED"),
    (7, "SQLITE_NOMEM"),
    (8, "SQLITE_READONLY"),
    (9, "SQLITE_INTERRUPT"),
    (10, "SQLITE_IOERR"),
    (11, "SQLITE_CORRUPT"),
    (12, "SQLITE_NOTFOUND"),
    (13, "SQLITE_FULL"),
    (14, "SQLITE_CANTOPEN"),
    (15, "SQLITE_PROTOCOL"),
    (17, "SQLITE_SCHEMA"),
    (18, "SQLITE_TOOBIG"),
    (19, "SQLITE_CONSTRAINT"),
    (20, "SQLITE_MISMATCH"),
    (21, "SQLITE_MISUSE"),
    (23, "SQLITE_AUTH"),
    (25, "SQLITE_RANGE"),
    (26, "SQLITE_NOTADB"),
];

/// The extended codes that a database without files, locks and shared memory can meet.
const EXTENDED: [(i32, &str); 23] = [
    (1 | 1 << 8, "SQLITE_ERROR_MISSING_COLLSEQ"),
    (4 | 2 << 8, "SQLITE_ABORT_ROLLBACK"),
    (10 | 1 << 8, "SQLITE_IOERR_READ"),
    (10 | 2 << 8, "SQLITE_IOERR_SHORT_READ"),
    (10 | 3 << 8, "SQLITE_IOERR_WRITE"),
    (10 | 4 << 8, "SQLITE_IOERR_FSYNC"),
    (10 | 6 << 8, "SQLITE_IOERR_TRUNCATE"),
    (10 | 12 << 8, "SQLITE_IOERR_NOMEM"),
    (11 | 1 << 8, "SQLITE_CORRUPT_VTAB"),
    (11 | 2 << 8, "SQLITE_CORRUPT_SEQUENCE"),
    (11 | 3 << 8, "SQLITE_CORRUPT_INDEX"),
    (19 | 1 << 8, "SQLITE_CONSTRAINT_CHECK"),
    (19 | 2 << 8, "SQLITE_CONSTRAINT_COMMITHOOK"),
    (19 | 3 << 8, "SQLITE_CONSTRAINT_FOREIGNKEY"),
    (19 | 4 << 8, "SQLITE_CONSTRAINT_FUNCTION"),
    (19 | 5 << 8, "SQLITE_CONSTRAINT_NOTNULL"),
    (19 | 6 << 8, "SQLITE_CONSTRAINT_PRIMARYKEY"),
    (19 | 7 << 8, "SQLITE_CONSTRAINT_TRIGGER"),
    (19 | 8 << 8, "SQLITE_CONSTRAINT_UNIQUE"),
    (19 | 9 << 8, "SQLITE_CONSTRAINT_VTAB"),
    (19 | 10 << 8, "SQLITE_CONSTRAINT_ROWID"),
    (19 | 11 << 8, "SQLITE_CONSTRAINT_PINNED"),
    (19 | 12 << 8, "SQLITE_CONSTRAINT_DATATYPE"),
];

fn named<T: Copy + PartialEq>(table: &[(T, &'static str)], code: T) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

impl Code {
    /// The name of SQLite's primary result code: `SQLITE_CONSTRAINT`. One that nobody knows is `SQLITE_ERROR`.
    pub fn primary_name(sqlite: i32) -> &'static str {
        named(&PRIMARY, sqlite & 0xff).unwrap_or("SQLITE_ERROR")
    }

    /// The name of SQLite's extended result code, where it says more than the primary one: `SQLITE_CONSTRAINT_UNIQUE`.
    pub fn extended_name(sqlite: i32) -> Option<&'static str> {
        named(&EXTENDED, sqlite)
    }

    /// The code as text.
    pub fn as_str(&self) -> &'static str {
        match self {
            Code::Sqlite(code) => Code::extended_name(*code).unwrap_or_else(|| Code::primary_name(*code)),
            own => named(&OWN, *own).unwrap_or("OTHER"),
        }
    }

    /// The code of a text; [`Code::Other`], if this version does not know it.
    pub fn of(text: &str) -> Code {
        let of_sqlite = || PRIMARY.iter().chain(&EXTENDED).find(|(_, name)| *name == text).map(|(code, _)| Code::Sqlite(*code));
        let own = || OWN.iter().find(|(_, name)| *name == text).map(|(code, _)| *code);
        own().or_else(of_sqlite).unwrap_or(Code::Other)
    }

    /// Whether a constraint refused the statement: UNIQUE, NOT NULL, CHECK, a foreign key.
    pub fn is_constraint(&self) -> bool {
        matches!(self, Code::Sqlite(code) if code & 0xff == 19)
    }

    /// Whether a UNIQUE or PRIMARY KEY constraint refused the statement.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self.as_str(), "SQLITE_CONSTRAINT_UNIQUE" | "SQLITE_CONSTRAINT_PRIMARYKEY")
    }

    /// Whether the session's bookmark was refused: malformed, or of another database. A session without it will be served.
    pub fn is_bookmark(&self) -> bool {
        matches!(self, Code::BookmarkInvalid | Code::BookmarkUnknown)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        Cow::<str>::deserialize(deserializer).map(|text| Code::of(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_was_written() {
        let sqlite = PRIMARY.iter().chain(&EXTENDED).map(|(code, _)| Code::Sqlite(*code));
        for code in OWN.iter().map(|(code, _)| *code).chain(sqlite) {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code, "{json}");
        }
        assert_eq!(Code::of("SQLITE_MOON"), Code::Other);
        assert_eq!(Code::Sqlite(19 | 8 << 8).as_str(), "SQLITE_CONSTRAINT_UNIQUE");
        assert_eq!(Code::Sqlite(5 | 9 << 8).as_str(), "SQLITE_BUSY");
    }

    #[test]
    fn every_own_code_has_a_text() {
        // An exhaustive match, so that a new code cannot be forgotten in the table.
        for (code, _) in OWN {
            let is_listed = match code {
                Code::Sqlite(_) => false,
                Code::BookmarkInvalid
                | Code::BookmarkUnknown
                | Code::StateExpired
                | Code::Parameters
                | Code::NoStatement
                | Code::TransactionStatement
                | Code::RanTooLong
                | Code::TimedOut
                | Code::ResultTooLarge
                | Code::StoreFailed
                | Code::RequestMalformed
                | Code::OutcomeUnknown
                | Code::NoDatabase
                | Code::Conflict
                | Code::Other => true,
            };
            assert!(is_listed && code.as_str() != "OTHER" || code == Code::Other);
        }
    }
}
