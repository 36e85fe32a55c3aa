//! Which databases a binding reaches: what its props grant, and nothing beyond.
//!
//! | props | what is reached |
//! |---|---|
//! | `{"database":"main"}` | that one, created when it is first used |
//! | `{"databases":"tenant-*"}` | those whose name begins so, by name; `"*"`: all |
//! | `"create": false`, or `true` | databases come into being elsewhere only, or when they are first used |
//!
//! A database's id may stand in `database`, and be called where all are granted. With both fields, `database` is what a call without a name is for.
//!
//! **Not here:** reading props, finding the name of an id (the Worker).

/// The props of a binding, as far as they are about databases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grant<'a> {
    /// The database for calls that name none.
    pub database: Option<&'a str>,
    /// The beginning of the names that may be called, with `*` after it; or one name.
    pub databases: Option<&'a str>,
    /// Whether a database comes into being when it is first used.
    pub create: Option<bool>,
}

/// What a call reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached<'a> {
    /// The database's name, or its id.
    pub database: &'a str,
    /// Whether it comes into being when it is first used.
    pub create: bool,
}

/// Why a call reaches nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// The props name no database, and the call does not either.
    #[error("this binding names no database: give it props, such as {{\"database\": \"main\"}}, or call database(name) on it")]
    NoDatabase,
    /// The props do not let the call reach this one.
    #[error("this binding does not reach the database {asked:?}: its props grant {granted}")]
    Other {
        /// What was called.
        asked: String,
        /// What may be.
        granted: String,
    },
}

impl<'a> Grant<'a> {
    /// What a call for `asked` reaches, or one that names none.
    pub fn reach(&self, asked: Option<&'a str>) -> Result<Reached<'a>, NotGranted> {
        let own = self.database.filter(|database| !database.is_empty());
        match asked {
            None => own.map(|database| self.reached(database, true)).ok_or(NotGranted::NoDatabase),
            Some(asked) if own == Some(asked) => Ok(self.reached(asked, true)),
            Some(asked) if self.admits(asked) => Ok(self.reached(asked, false)),
            Some(asked) => {
                let granted: Vec<String> = own.iter().chain(&self.databases).map(|name| format!("{name:?}")).collect();
                let granted = if granted.is_empty() { "none".into() } else { granted.join(" and ") };
                Err(NotGranted::Other { asked: asked.into(), granted })
            }
        }
    }

    /// Whether a name is one of `databases`.
    fn admits(&self, name: &str) -> bool {
        let Some(granted) = self.databases else { return false };
        !name.is_empty() && granted.strip_suffix('*').map_or(name == granted, |begin| name.starts_with(begin))
    }

    fn reached(&self, database: &'a str, create: bool) -> Reached<'a> {
        Reached { database, create: self.create.unwrap_or(create) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binding_reaches_what_its_props_grant() {
        let main = Grant { database: Some("main"), ..Grant::default() };
        let tenants = Grant { databases: Some("tenant-*"), ..Grant::default() };
        let both = Grant { create: Some(true), databases: Some("tenant-*"), ..main };
        let reached = |grant: Grant<'static>, asked| grant.reach(asked).map(|Reached { database, create }| (database, create));
        assert_eq!(reached(main, None), Ok(("main", true)));
        assert_eq!(reached(main, Some("main")), Ok(("main", true)));
        assert_eq!(reached(Grant { create: Some(false), ..main }, None), Ok(("main", false)));
        assert_eq!(reached(tenants, Some("tenant-42")), Ok(("tenant-42", false)));
        assert_eq!(reached(both, Some("tenant-42")), Ok(("tenant-42", true)));
        assert_eq!(reached(both, None), Ok(("main", true)));
        assert_eq!(reached(Grant { databases: Some("*"), ..Grant::default() }, Some("any")), Ok(("any", false)));
    }

    #[test]
    fn and_nothing_beyond() {
        let grant = |databases| Grant { database: Some("main"), databases, create: None };
        for (databases, asked) in [
            (None, "other"),
            (None, ""),
            (None, "*"),
            (Some("tenant-*"), "tenant"),
            (Some("tenant-*"), "Tenant-1"),
            (Some("tenant-*"), " tenant-1"),
            (Some("tenant-*"), "main2"),
            (Some("*"), ""),
            (Some("tenant-1"), "tenant-11"),
            (Some("a*b"), "axb"),
        ] {
            assert!(matches!(grant(databases).reach(Some(asked)), Err(NotGranted::Other { .. })), "{databases:?} {asked:?}");
        }
        assert_eq!(Grant::default().reach(None), Err(NotGranted::NoDatabase));
        assert_eq!(Grant { database: Some(""), ..Grant::default() }.reach(None), Err(NotGranted::NoDatabase));
        assert_eq!(Grant { databases: Some("*"), ..Grant::default() }.reach(None), Err(NotGranted::NoDatabase));
        let refused = grant(Some("tenant-*")).reach(Some("x")).unwrap_err().to_string();
        assert_eq!(refused, "this binding does not reach the database \"x\": its props grant \"main\" and \"tenant-*\"");
    }
}
