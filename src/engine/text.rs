//! What can be told of an SQL text without compiling it.
//!
//! **Not here:** what it means: SQLite knows.

/// Whether a text begins as statements do that change rows and not the schema.
pub(super) fn changes_rows(sql: &str) -> bool {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let one_statement = !has_several_statements(sql);
    one_statement && ["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"].iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether SQLite finds nothing to compile in a text: blanks, `;` and comments (<https://www.sqlite.org/lang_comment.html>).
pub(super) fn is_blank(mut sql: &str) -> bool {
    loop {
        sql = sql.trim_start_matches([' ', '\t', '\n', '\x0c', '\r', ';', '\u{feff}']);
        sql = if let Some(comment) = sql.strip_prefix("--") {
            comment.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(comment) = sql.strip_prefix("/*").filter(|comment| !comment.is_empty()) {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return sql.is_empty();
        };
    }
}

/// Whether a `;` is followed by more text. It may be inside a string or a trigger: this only decides whether to look closer.
fn has_several_statements(sql: &str) -> bool {
    sql.trim_end().trim_end_matches(';').contains(';')
}

/// PRAGMAs set things for a whole transaction, so they cannot share one.
pub(super) fn mentions_pragma(sql: &str) -> bool {
    sql.as_bytes().windows(6).any(|word| word.eq_ignore_ascii_case(b"pragma"))
}
