//! What the Worker's configuration says about replicas: the variable `REPLICATION`.
//!
//! ```json
//! { "regions": "auto", "max_staleness_ms": 500, "databases": { "main": { "regions": ["weur", "enam"] }, "ledger": { "regions": "off" } } }
//! ```
//!
//! | field | meaning | default |
//! |---|---|---|
//! | `regions` | `"auto"`: a replica in every region that reads; `"off"`: none, not even in isolates; a list of location hints | `"auto"` |
//! | `max_staleness_ms` | reads without a session may be that old; without it, the primary answers them | none |
//! | `held_bytes` | bytes of pages that a replica object keeps | 256 MB |
//! | `prefetch_pages` | pages that a scan fetches at once, at most; 1: only those that are missing | 512 |
//! | `databases` | the same fields for single databases; they stand before the others | |

pub mod grant;
pub mod region;

use region::Region;
use serde::Deserialize;
use std::collections::HashMap;

/// The variable's name.
pub const REPLICATION: &str = "REPLICATION";

/// What holds for one database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// The regions that may have a replica object; `None`: no replicas at all.
    pub regions: Option<Vec<Region>>,
    /// How old an answer to a read without a session may be.
    pub max_staleness_ms: Option<u64>,
    /// Bytes of pages that a replica object keeps.
    pub held_bytes: usize,
    /// Pages that are fetched with a missing one at most, that one among them.
    pub prefetch_pages: usize,
}

/// The variable's value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    regions: Option<Regions>,
    max_staleness_ms: Option<u64>,
    held_bytes: Option<usize>,
    prefetch_pages: Option<usize>,
    databases: HashMap<String, Fields>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    regions: Option<Regions>,
    max_staleness_ms: Option<u64>,
    held_bytes: Option<usize>,
    prefetch_pages: Option<usize>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Regions {
    Mode(Mode),
    Only(Vec<Region>),
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Auto,
    Off,
}

impl Settings {
    /// What holds for a database.
    pub fn of(&self, database: &str) -> Replication {
        let own = self.databases.get(database).cloned().unwrap_or_default();
        let regions = match own.regions.as_ref().or(self.regions.as_ref()) {
            None | Some(Regions::Mode(Mode::Auto)) => Some(Region::ALL.to_vec()),
            Some(Regions::Mode(Mode::Off)) => None,
            Some(Regions::Only(regions)) => Some(regions.clone()),
        };
        Replication {
            regions,
            max_staleness_ms: own.max_staleness_ms.or(self.max_staleness_ms),
            held_bytes: own.held_bytes.or(self.held_bytes).unwrap_or(256 << 20),
            prefetch_pages: own.prefetch_pages.or(self.prefetch_pages).unwrap_or(512),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_s_own_fields_stand_before_the_others() {
        let json = r#"{"regions":"auto","max_staleness_ms":500,"databases":{"a":{"regions":["weur","apac-ne"]},"b":{"regions":"off","max_staleness_ms":1}}}"#;
        let settings: Settings = serde_json::from_str(json).unwrap();
        assert_eq!(settings.of("a").regions, Some(vec![Region::Weur, Region::ApacNe]));
        assert_eq!(settings.of("a").max_staleness_ms, Some(500));
        assert_eq!((settings.of("b").regions, settings.of("b").max_staleness_ms), (None, Some(1)));
        assert_eq!(settings.of("c").regions.map(|regions| regions.len()), Some(11));
        assert_eq!(Settings::default().of("x").max_staleness_ms, None);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        for json in [r#"{"regions":"everywhere"}"#, r#"{"regions":["mars"]}"#, r#"{"staleness":1}"#, r#"{"max_staleness_ms":-1}"#] {
            assert!(serde_json::from_str::<Settings>(json).is_err(), "{json}");
        }
    }
}
