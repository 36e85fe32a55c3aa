//! What SQL may do: the rules of a dialect.
//!
//! D1 denies transactions in SQL (calls are transactions), ATTACH, temporary objects, names that begin with `_cf_`, virtual tables and PRAGMAs
//! that it does not have, and functions that tell about the build.
//!
//! **Invariant:** everything is refused that is not known to be harmless: an action this file does not name is denied.
//!
//! **Not here:** who asks, and when (`authorize`).

use super::authorize::is_flag;
use rusqlite::hooks::AuthAction;
use std::borrow::Cow;

/// Virtual tables that D1 has.
const VIRTUAL_TABLES: [&str; 4] = ["fts5", "fts5vocab", "rtree", "rtree_i32"];

/// Functions that D1 refuses.
const REFUSED_FUNCTIONS: [&str; 10] = [
    "sqlite_version",
    "sqlite_source_id",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_offset",
    "sqlite_log",
    "fts5",
    "fts5_source_id",
    "rtreenode",
    "rtreedepth",
];

/// Those among them that tell about the build, and the number of their arguments.
const TELLING: [(&str, i32); 5] = [
    ("sqlite_version", 0),
    ("sqlite_source_id", 0),
    ("sqlite_compileoption_get", 1),
    ("sqlite_compileoption_used", 1),
    ("fts5_source_id", 0),
];

type Names = Vec<Cow<'static, str>>;

/// What SQL may do. The default is D1's.
///
/// What an extension adds is refused like everything that is not known, unless it is allowed here:
///
/// ```
/// use littoral_engine::engine::{Limits, Profile, Setup};
///
/// let profile = Profile::d1().with_virtual_table("vec0").without_function("random");
/// let setup = Setup::from(Limits::default()).with_profile(profile);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    virtual_tables: Names,
    refused_functions: Names,
}

impl Default for Profile {
    fn default() -> Profile {
        Profile::d1()
    }
}

impl Profile {
    /// D1's dialect.
    pub fn d1() -> Profile {
        let names = |names: &[&'static str]| names.iter().map(|name| Cow::Borrowed(*name)).collect();
        Profile { virtual_tables: names(&VIRTUAL_TABLES), refused_functions: names(&REFUSED_FUNCTIONS) }
    }

    /// The same with CREATE VIRTUAL TABLE … USING this module.
    pub fn with_virtual_table(mut self, module: impl Into<Cow<'static, str>>) -> Profile {
        self.virtual_tables.push(module.into());
        self
    }

    /// The same without a function.
    pub fn without_function(mut self, name: impl Into<Cow<'static, str>>) -> Profile {
        self.refused_functions.push(name.into());
        self
    }

    /// Functions that are replaced by one that fails: their names, the number of their arguments, and what they say. The authorizer is not asked
    /// about those in a DEFAULT.
    pub(super) fn failing_functions(&self) -> impl Iterator<Item = (&'static str, i32, String)> {
        let refused = TELLING.into_iter().filter(|(name, _)| contains(&self.refused_functions, name));
        let telling = refused.map(|(name, arguments)| (name, arguments, format!("not authorized to use function: {name}")));
        // D1's SQLite has it, and lets nobody load anything.
        telling.chain([1, 2].map(|arguments| ("load_extension", arguments, "not authorized".into())))
    }

    pub(super) fn allows(&self, action: &AuthAction<'_>) -> bool {
        match action {
            AuthAction::Select | AuthAction::Recursive | AuthAction::Reindex { .. } | AuthAction::Analyze { .. } => true,
            AuthAction::CreateTable { table_name }
            | AuthAction::DropTable { table_name }
            | AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Read { table_name, .. }
            | AuthAction::Update { table_name, .. }
            | AuthAction::AlterTable { table_name, .. } => open_name(table_name),
            AuthAction::CreateView { view_name } | AuthAction::DropView { view_name } => open_name(view_name),
            AuthAction::CreateIndex { index_name, table_name } | AuthAction::DropIndex { index_name, table_name } => {
                open_name(index_name) && open_name(table_name)
            }
            AuthAction::CreateTrigger { trigger_name, table_name } | AuthAction::DropTrigger { trigger_name, table_name } => {
                open_name(trigger_name) && open_name(table_name)
            }
            AuthAction::CreateVtable { table_name, module_name } | AuthAction::DropVtable { table_name, module_name } => {
                open_name(table_name) && contains(&self.virtual_tables, module_name)
            }
            AuthAction::Function { function_name } => !contains(&self.refused_functions, function_name),
            AuthAction::Pragma { pragma_name, pragma_value } => pragma_allowed(pragma_name, *pragma_value),
            _ => false,
        }
    }
}

fn contains(names: &Names, name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Names beginning with `_cf_` are the platform's.
fn open_name(name: &str) -> bool {
    !name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("_cf_"))
}

/// The argument that a PRAGMA takes.
enum Argument {
    None,
    Boolean,
    OptionalName,
    Name,
    OptionalNumber,
    OptionalNumberOrName,
}

fn pragma_allowed(name: &str, value: Option<&str>) -> bool {
    let argument = match name.to_ascii_lowercase().as_str() {
        flag if is_flag(flag) => Argument::Boolean,
        "data_version" | "page_size" => Argument::None,
        "foreign_key_check" | "table_list" => Argument::OptionalName,
        "foreign_key_list" | "index_info" | "index_list" | "index_xinfo" | "table_info" | "table_xinfo" => Argument::Name,
        "optimize" => Argument::OptionalNumber,
        "quick_check" => Argument::OptionalNumberOrName,
        _ => return false,
    };
    match (argument, value) {
        (Argument::None, value) => value.is_none(),
        (Argument::Boolean, value) => value.is_none_or(|value| boolean(value).is_some()),
        (Argument::Name, value) => value.is_some(),
        (Argument::OptionalName | Argument::OptionalNumberOrName, _) => true,
        (Argument::OptionalNumber, value) => value.is_none_or(number),
    }
}

/// What SQLite makes of a flag's value. `None`: D1 refuses it.
pub(super) fn boolean(value: &str) -> Option<bool> {
    let is_among = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(value));
    if is_among(["on", "true", "yes", "1"]) { Some(true) } else { is_among(["off", "false", "no", "0"]).then_some(false) }
}

fn number(value: &str) -> bool {
    let digits = value.strip_prefix("0x").unwrap_or(value.strip_prefix('-').unwrap_or(value));
    !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_hexdigit())
}
