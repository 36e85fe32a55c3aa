//! Where the rules are kept: SQLite asks its authorizer for everything that a statement would do, while it compiles it.
//!
//! **Not here:** the rules (`profile`), permissions of users.

use super::Profile;
use super::configuration::FLAGS;
use super::profile::boolean;
use crate::sqlite::changes::Operation;
use crate::sqlite::stack::is_too_deep_for_select;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Shared between the engine and the authorizer of its connection.
#[derive(Clone)]
pub(super) struct Authorizer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    profile: Profile,
    /// The engine's own statements may do everything.
    trusted: AtomicBool,
    /// A BEGIN or SAVEPOINT was refused; it has an error text of its own.
    refused_transaction: AtomicBool,
    /// An ALTER TABLE was compiled.
    altered: AtomicBool,
    /// An ANALYZE was compiled, by a caller or by `PRAGMA optimize`.
    analyzed: AtomicBool,
    /// A PRAGMA was compiled that sets a flag of the connection.
    set_flags: AtomicBool,
    /// What the `PRAGMA foreign_keys` compiled last sets.
    foreign_keys: Mutex<Option<bool>>,
    /// The PRAGMA that was refused last.
    refused_pragma: Mutex<Option<String>>,
    /// The connection is a replica's: what tells of its own past, and not of the database, is refused.
    is_replica: AtomicBool,
    /// What the statement being compiled writes, once there is something.
    writes: Mutex<Writes>,
    has_writes: AtomicBool,
}

/// What a statement writes, its triggers included. Only compiling it tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Writes {
    pub(super) updates: Vec<ColumnUpdate>,
    /// Tables with the operation on them; one may be here several times.
    pub(super) tables: Vec<(Operation, String)>,
    /// It writes the schema, or makes what belongs to it: indexes and statistics.
    pub(super) schema: bool,
}

/// A column named in the SET list of an UPDATE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ColumnUpdate {
    pub(super) table: String,
    pub(super) column: String,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && !self.schema
    }

    fn add(&mut self, action: &AuthAction<'_>) {
        let (operation, table) = match *action {
            AuthAction::Insert { table_name } => (Operation::Insert, table_name),
            AuthAction::Update { table_name, column_name } => {
                self.updates.push(ColumnUpdate { table: table_name.into(), column: column_name.into() });
                (Operation::Update, table_name)
            }
            AuthAction::Delete { table_name } => (Operation::Delete, table_name),
            AuthAction::AlterTable { .. } | AuthAction::Analyze { .. } | AuthAction::Reindex { .. } => {
                self.schema = true;
                return;
            }
            _ => return,
        };
        self.schema |= table == "sqlite_master";
        if self.tables.last().is_none_or(|last| (last.0, &*last.1) != (operation, table)) {
            self.tables.push((operation, table.into()));
        }
    }
}

impl Authorizer {
    /// An authorizer for the primary, or for a replica.
    pub(super) fn new(profile: &Profile, is_replica: bool) -> Authorizer {
        Authorizer(Arc::new(Shared { profile: profile.clone(), is_replica: is_replica.into(), ..Shared::default() }))
    }

    /// Runs `body` with everything allowed.
    pub(super) fn trusted<T>(&self, body: impl FnOnce() -> T) -> T {
        self.0.trusted.store(true, Ordering::Relaxed);
        let result = body();
        self.0.trusted.store(false, Ordering::Relaxed);
        result
    }

    /// Runs `body` under the rules of a replica.
    pub(super) fn as_replica<T>(&self, body: impl FnOnce() -> T) -> T {
        let is_replica = self.0.is_replica.swap(true, Ordering::Relaxed);
        let result = body();
        self.0.is_replica.store(is_replica, Ordering::Relaxed);
        result
    }

    /// Whether a transaction statement was refused since the last call.
    pub(super) fn take_refused_transaction(&self) -> bool {
        self.0.refused_transaction.swap(false, Ordering::Relaxed)
    }

    /// Whether an ALTER TABLE was compiled since the last call.
    pub(super) fn take_altered(&self) -> bool {
        self.0.altered.swap(false, Ordering::Relaxed)
    }

    /// Whether an ANALYZE was compiled since [`Authorizer::take_analyzed`].
    pub(super) fn has_analyzed(&self) -> bool {
        self.0.analyzed.load(Ordering::Relaxed)
    }

    /// Whether an ANALYZE was compiled since the last call.
    pub(super) fn take_analyzed(&self) -> bool {
        self.0.analyzed.swap(false, Ordering::Relaxed)
    }

    /// Whether a statement was compiled that sets a flag, since [`Authorizer::forget_set_flags`].
    pub(super) fn has_set_flags(&self) -> bool {
        self.0.set_flags.load(Ordering::Relaxed)
    }

    /// The flags are as they were at the beginning.
    pub(super) fn forget_set_flags(&self) {
        self.0.set_flags.store(false, Ordering::Relaxed);
    }

    /// What was said of foreign keys since the last call.
    pub(super) fn take_foreign_keys(&self) -> Option<bool> {
        self.0.foreign_keys.lock().ok().and_then(|mut on| on.take())
    }

    /// The PRAGMA that was refused since the last call.
    pub(super) fn take_refused_pragma(&self) -> Option<String> {
        self.0.refused_pragma.lock().ok().and_then(|mut name| name.take())
    }

    /// The writes seen since the last call.
    pub(super) fn take_writes(&self) -> Writes {
        if !self.0.has_writes.swap(false, Ordering::Relaxed) {
            return Writes::default();
        }
        self.0.writes.lock().map(|mut writes| std::mem::take(&mut *writes)).unwrap_or_default()
    }

    /// The decision for one action.
    pub(super) fn decide(&self, context: &AuthContext<'_>) -> Authorization {
        if self.0.trusted.load(Ordering::Relaxed) {
            return Authorization::Allow;
        }
        if matches!(context.action, AuthAction::Select) && is_too_deep_for_select() {
            return Authorization::Deny;
        }
        if let AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } = context.action {
            self.0.refused_transaction.store(true, Ordering::Relaxed);
        }
        if let AuthAction::AlterTable { .. } = context.action {
            self.0.altered.store(true, Ordering::Relaxed);
        }
        if let AuthAction::Analyze { .. } = context.action {
            self.0.analyzed.store(true, Ordering::Relaxed);
        }
        if let AuthAction::Pragma { pragma_name, pragma_value: Some(value) } = context.action
            && is_flag(pragma_name)
        {
            self.0.set_flags.store(true, Ordering::Relaxed);
            if pragma_name.eq_ignore_ascii_case("foreign_keys")
                && let Ok(mut on) = self.0.foreign_keys.lock()
            {
                *on = boolean(value);
            }
        }
        if let Ok(mut writes) = self.0.writes.lock() {
            writes.add(&context.action);
            self.0.has_writes.store(!writes.is_empty(), Ordering::Relaxed);
        }
        // `CREATE TABLE temp.t` is no CreateTempTable. ALTER TABLE itself looks through the schema of `temp`, so only creating is denied.
        let in_temp = context.database_name == Some("temp") && creates(&context.action);
        let elsewhere = self.0.is_replica.load(Ordering::Relaxed) && is_of_the_primary(&context.action);
        if !in_temp && !elsewhere && self.0.profile.allows(&context.action) {
            return Authorization::Allow;
        }
        if let AuthAction::Pragma { pragma_name, .. } = context.action
            && let Ok(mut refused) = self.0.refused_pragma.lock()
        {
            *refused = Some(pragma_name.into());
        }
        Authorization::Deny
    }
}

fn creates(action: &AuthAction<'_>) -> bool {
    matches!(
        action,
        AuthAction::CreateTable { .. }
            | AuthAction::CreateView { .. }
            | AuthAction::CreateIndex { .. }
            | AuthAction::CreateTrigger { .. }
            | AuthAction::CreateVtable { .. }
    )
}

/// Whether the answer depends on what the connection did before, rather than on the database.
fn is_of_the_primary(action: &AuthAction<'_>) -> bool {
    let among = |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    match action {
        AuthAction::Function { function_name } => among(&["changes", "last_insert_rowid", "total_changes"], function_name),
        AuthAction::Pragma { pragma_name, .. } => !among(&SCHEMA_PRAGMAS, pragma_name),
        _ => false,
    }
}

/// PRAGMAs that read the database, and nothing of the connection.
const SCHEMA_PRAGMAS: [&str; 10] = [
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "page_size",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Whether a PRAGMA sets a flag of the connection.
pub(super) fn is_flag(name: &str) -> bool {
    FLAGS.iter().any(|(flag, _)| flag.eq_ignore_ascii_case(name))
}
