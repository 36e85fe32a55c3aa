//! What a database is opened with: its limits, what SQL may do, and what its SQLite has beyond SQLite's own.
//!
//! **Not here:** how a connection is set (`configuration`).

use super::{Limits, Profile, Watcher};
use std::fmt;
use std::rc::Rc;

/// Functions, collations or virtual tables that SQLite does not have by itself, or somebody who is told of what changes.
///
/// ```
/// use littoral_engine::engine::{Extension, Limits, Setup};
/// use rusqlite::functions::FunctionFlags;
///
/// struct Half;
///
/// impl Extension for Half {
///     fn name(&self) -> &str {
///         "half"
///     }
///
///     fn install(&self, sqlite: &rusqlite::Connection) -> rusqlite::Result<()> {
///         let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
///         sqlite.create_scalar_function("half", 1, flags, |context| Ok(context.get::<f64>(0)? / 2.0))
///     }
/// }
///
/// let setup = Setup::from(Limits::default()).with(Half);
/// ```
pub trait Extension {
    /// Its name, for errors.
    fn name(&self) -> &str;

    /// Adds it to a connection that has just been opened: the primary's, and those of readers and replicas, which have to answer alike.
    fn install(&self, sqlite: &rusqlite::Connection) -> rusqlite::Result<()>;

    /// Who is to be told of the rows that callers' statements change on a connection. Only the primary's changes any.
    fn watcher(&self) -> Option<Rc<dyn Watcher>> {
        None
    }
}

/// What a database is opened with. Cheap to clone.
#[derive(Clone, Default)]
pub struct Setup {
    /// Its limits.
    pub limits: Limits,
    /// What SQL may do.
    pub profile: Profile,
    extensions: Rc<Vec<Rc<dyn Extension>>>,
}

impl Setup {
    /// The same with one more extension. Of two that define the same, the later one holds.
    pub fn with(mut self, extension: impl Extension + 'static) -> Setup {
        Rc::make_mut(&mut self.extensions).push(Rc::new(extension));
        self
    }

    /// The same with another profile.
    pub fn with_profile(self, profile: Profile) -> Setup {
        Setup { profile, ..self }
    }

    /// The same for the connections of replicas, of which an isolate has many.
    pub fn for_replicas(&self) -> Setup {
        Setup { limits: self.limits.for_replicas(), ..self.clone() }
    }

    pub(super) fn install(&self, sqlite: &rusqlite::Connection) -> rusqlite::Result<()> {
        self.extensions.iter().try_for_each(|extension| {
            let named = |error| rusqlite::Error::UserFunctionError(format!("the extension {}: {error}", extension.name()).into());
            extension.install(sqlite).map_err(named)
        })
    }

    /// Who is to be told of changes, in the order of the extensions.
    pub(super) fn watchers(&self) -> impl Iterator<Item = Rc<dyn Watcher>> {
        self.extensions.iter().filter_map(|extension| extension.watcher())
    }
}

impl From<Limits> for Setup {
    fn from(limits: Limits) -> Setup {
        Setup { limits, ..Setup::default() }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extensions: Vec<&str> = self.extensions.iter().map(|extension| extension.name()).collect();
        f.debug_struct("Setup").field("limits", &self.limits).field("profile", &self.profile).field("extensions", &extensions).finish()
    }
}
