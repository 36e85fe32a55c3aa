//! What a statement did, and who answered.

use crate::Txid;
use serde::{Deserialize, Serialize};

/// What a statement did: what D1 calls `meta`, as far as it does not depend on who answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Rows inserted, updated and deleted, by triggers and cascades too.
    pub changes: u64,
    /// The rowid of the last insert on this connection.
    pub last_row_id: i64,
    /// Whether the statement changed rows, the last rowid or the size.
    pub changed_db: bool,
    /// Bytes of the pages in use after the commit, which calls that arrived together share. Within a batch, statements that change rows
    /// leave it as it was; the last one has it right.
    pub size_after: u64,
    /// Rows visited by scans.
    pub rows_read: u64,
    /// Rows and index entries written.
    pub rows_written: u64,
    /// The state that was read, or that a write made: the newest commit in it.
    pub txid: Txid,
    /// Pages that a replica had to fetch for the call.
    pub pages_fetched: u64,
}

/// Who answers. By default the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Which tier.
    pub tier: Tier,
    /// The region of a replica, as D1 names regions: `WEUR`.
    pub region: Option<&'static str>,
    /// The data centre that the request came to, if it is known: `LHR`.
    pub colo: Option<[u8; 3]>,
    /// Milliseconds that the state read may be behind the primary, at most, if that is known.
    pub staleness_ms: Option<u64>,
}

impl Default for Served {
    fn default() -> Served {
        Served { tier: Tier::Primary, region: None, colo: None, staleness_ms: Some(0) }
    }
}

/// A kind of copy of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Tier {
    /// A replica in the memory of the isolate that got the request.
    Isolate,
    /// A Durable Object that keeps a replica for a region.
    Replica,
    /// The Durable Object that owns the database.
    Primary,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}
