//! `DELETE` and `UPDATE` with ORDER BY and LIMIT.
//!
//! The grammar of SQLite's published source is generated without them, and no flag of a build brings them back
//! (<https://www.sqlite.org/compile.html#enable_update_delete_limit>). Where SQLite stops reading at such a clause, the statement is written as
//! SQLite's own implementation would run it, which chooses the rows by a subquery:
//!
//! ```sql
//! DELETE FROM jobs AS j INDEXED BY due WHERE j.done RETURNING id ORDER BY at LIMIT 5
//! DELETE FROM jobs AS j WHERE rowid IN (SELECT rowid FROM jobs AS j INDEXED BY due WHERE j.done ORDER BY at LIMIT 5) RETURNING id
//! ```
//!
//! **Invariants**
//! 1. Only a statement that SQLite refuses is looked at, and what is made of it is compiled by SQLite under the same authorizer.
//! 2. Parts of the text are moved and never changed, except that `?` gets its number. Offsets in errors are those of the caller's text.
//!
//! Not written so, and refused as before: `UPDATE … FROM`, views, and tables whose columns hide all three names of the rowid.

use super::connection::Connection;
use super::error::Error;
use super::text::{Token, statement_tokens, without_quotes};
use crate::sqlite::statement::{SqlText, SqliteError, Statement};
use rusqlite::ffi;
use std::collections::HashSet;
use std::ops::Range;

/// A statement's parts, as places in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    verb: &'static str,
    /// `jobs AS j`
    table: Range<usize>,
    /// `INDEXED BY due`, or nothing.
    indexed: Range<usize>,
    /// `SET …`, or nothing.
    set: Range<usize>,
    /// `WHERE …`, or nothing.
    condition: Range<usize>,
    /// `RETURNING …`, or nothing.
    returning: Range<usize>,
    /// `ORDER BY … LIMIT …`, to the end of the statement.
    clause: Range<usize>,
    has_limit: bool,
}

/// A text made of pieces of another.
#[derive(Default)]
struct Spliced {
    text: String,
    /// Where each piece of the other begins in this text, and its place there.
    pieces: Vec<(usize, Range<usize>)>,
    /// Where the parenthesis stands that ends the subquery.
    subquery_end: usize,
}

impl Spliced {
    fn piece(&mut self, sql: &str, place: Range<usize>) {
        self.pieces.push((self.text.len(), place.clone()));
        self.text.push_str(&sql[place]);
    }

    /// The place in the other text that a place in this one comes from, or comes after.
    fn source_of(&self, offset: usize) -> usize {
        let piece = self.pieces.iter().rev().find(|(here, _)| *here <= offset);
        piece.map_or(0, |(here, there)| (there.start + offset - here).min(there.end))
    }
}

impl Connection {
    /// Compiles the statement that begins at a byte of a text; `source` is that text. Returns it, where it ends, and whether it is as it was written.
    pub(super) fn compile(&self, source: &SqlText, sql: &str, begin: usize) -> Result<(Option<Statement>, usize, bool), SqliteError> {
        let compiled = self.watchers.compiling(self.sqlite(), || source.compile(self.sqlite(), begin));
        match compiled {
            Ok((statement, end)) => Ok((statement, end, true)),
            Err(error) => self.compile_limited(&sql[begin..], error).map(|(statement, end)| (statement, begin + end, false)),
        }
    }

    fn compile_limited(&self, sql: &str, error: SqliteError) -> Result<(Option<Statement>, usize), SqliteError> {
        let is_syntax = error.code == ffi::SQLITE_ERROR && error.message.ends_with("syntax error");
        let parts = error.offset.filter(|_| is_syntax).and_then(|offset| parts(sql, offset));
        let Some(parts) = parts else { return Err(error) };
        if !parts.has_limit {
            let message = format!("ORDER BY without LIMIT on {}", parts.verb);
            return Err(SqliteError { code: ffi::SQLITE_ERROR, message, offset: None });
        }
        let Ok(Some(key)) = self.key_of(&sql[parts.table.clone()]) else { return Err(error) };
        let Some(spliced) = splice(sql, &parts, &key) else { return Err(error) };
        let rewritten = SqlText::new(&spliced.text);
        match self.watchers.compiling(self.sqlite(), || rewritten.compile(self.sqlite(), 0)) {
            Ok((statement, _)) => Ok((statement, parts.clause.end)),
            Err(error) if error.offset == Some(spliced.subquery_end) => {
                Err(SqliteError { code: error.code, message: "incomplete input".into(), offset: None })
            }
            Err(error) => Err(SqliteError { offset: error.offset.map(|offset| spliced.source_of(offset)), ..error }),
        }
    }

    /// What tells the rows of a table apart: `rowid`, or the columns of its primary key. `None`: nothing that has a name.
    fn key_of(&self, table: &str) -> Result<Option<String>, Error> {
        let mut names = statement_tokens(table).map(|token| token.text);
        let first = names.next().unwrap_or_default();
        let name = if names.next() == Some(".") { names.next().unwrap_or_default() } else { first };
        let name = without_quotes(name);
        let (is_view, has_rowid) = self.trusted(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'view' AND name = ?1 COLLATE NOCASE), \
             NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE name NOT IN (SELECT name FROM sqlite_schema))",
            |statement| statement.query_row([&name], |row| Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?))),
        )?;
        if is_view {
            return Ok(None);
        }
        let columns: Vec<(String, i64)> = self.trusted("SELECT name, pk FROM pragma_table_xinfo(?1) ORDER BY pk", |statement| {
            statement.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })?;
        if has_rowid {
            let is_hidden = |rowid: &&str| columns.iter().any(|(column, _)| column.eq_ignore_ascii_case(rowid));
            return Ok(["rowid", "_rowid_", "oid"].into_iter().find(|rowid| !is_hidden(rowid)).map(String::from));
        }
        let quoted = columns.iter().filter(|(_, pk)| *pk > 0).map(|(column, _)| format!("\"{}\"", column.replace('"', "\"\"")));
        Ok(Some(quoted.collect::<Vec<_>>().join(", ")))
    }
}

/// The parts of the statement at the beginning of a text, if SQLite stops reading it, at this byte, where ORDER BY or LIMIT begins.
fn parts(sql: &str, stopped_at: usize) -> Option<Parts> {
    let tokens: Vec<Token<'_>> = statement_tokens(sql).collect();
    // A parenthesis that closes nothing would close the subquery.
    let opened = tokens.iter().try_fold(0_usize, |opened, token| match token.text {
        "(" => Some(opened + 1),
        ")" => opened.checked_sub(1),
        _ => Some(opened),
    });
    if opened != Some(0) {
        return None;
    }
    let outside: Vec<&Token<'_>> = tokens.iter().filter(|token| token.depth == 0).collect();
    let find = |from: usize, words: &[&str]| (from..outside.len()).find(|at| words.iter().any(|word| outside[*at].is(word)));
    let find_from = |from: usize| (from..outside.len()).find(|at| outside[*at].is("FROM") && !outside[*at - 1].is("DISTINCT"));
    if !["EXPLAIN", "WITH", "DELETE", "UPDATE"].iter().any(|word| outside.first().is_some_and(|token| token.is(word))) {
        return None;
    }
    let verb_at = find(0, &["DELETE", "UPDATE"])?;
    let clause_at = outside.iter().position(|token| token.at == stopped_at).filter(|at| find(*at, &["ORDER", "LIMIT"]) == Some(*at))?;
    let end = tokens.last().map_or(0, |token| token.at + token.text.len());
    let place = |at: usize| outside.get(at).map_or(end, |token| token.at);
    let (verb, table_at, set_at) = if outside[verb_at].is("DELETE") {
        outside.get(verb_at + 1).filter(|token| token.is("FROM"))?;
        let table_at = verb_at + 2;
        ("DELETE", table_at, find(table_at, &["WHERE", "RETURNING"]).unwrap_or(clause_at).min(clause_at))
    } else {
        let conflict = outside.get(verb_at + 1)?.is("OR");
        ("UPDATE", verb_at + if conflict { 3 } else { 1 }, find(verb_at, &["SET"]).filter(|at| *at < clause_at)?)
    };
    let where_at = find(set_at, &["WHERE", "RETURNING"]).unwrap_or(clause_at).min(clause_at);
    let returning_at = find(where_at, &["RETURNING"]).unwrap_or(clause_at).min(clause_at);
    if find_from(set_at).is_some_and(|at| at < where_at) {
        return None;
    }
    let indexed_at = find(table_at, &["INDEXED", "NOT"]).unwrap_or(set_at).min(set_at);
    let (clause, has_limit) = (place(clause_at)..end, find(clause_at, &["LIMIT"]).is_some());
    Some(Parts {
        verb,
        table: place(table_at)..place(indexed_at),
        indexed: place(indexed_at)..place(set_at),
        set: place(set_at)..place(where_at),
        condition: place(where_at)..place(returning_at),
        returning: place(returning_at)..clause.start,
        clause,
        has_limit,
    })
}

/// The statement with its rows chosen by a subquery. `None`: parameters would get other numbers than they have.
fn splice(sql: &str, parts: &Parts, key: &str) -> Option<Spliced> {
    let numbered = if parameters(sql, &parts.returning).is_empty() { vec![] } else { numbers(sql, parts)? };
    let mut spliced = Spliced::default();
    let piece = |spliced: &mut Spliced, place: &Range<usize>| {
        let mut begin = place.start;
        for (at, number) in numbered.iter().filter(|(at, _)| place.contains(at)) {
            spliced.piece(sql, begin..at + 1);
            spliced.text.push_str(&number.to_string());
            begin = at + 1;
        }
        spliced.piece(sql, begin..place.end);
        // A comment at the end of a part ends with its line.
        spliced.text.push('\n');
    };
    let head = 0..parts.table.start;
    for part in [&head, &parts.table, &parts.set] {
        piece(&mut spliced, part);
    }
    spliced.text.push_str(&format!("WHERE ({key}) IN (SELECT {key} FROM "));
    for part in [&parts.table, &parts.indexed, &parts.condition, &parts.clause] {
        piece(&mut spliced, part);
    }
    spliced.subquery_end = spliced.text.len();
    spliced.text.push_str(") ");
    piece(&mut spliced, &parts.returning);
    Some(spliced)
}

/// The parameters in a part of a text: where they are and what they begin with.
fn parameters<'a>(sql: &'a str, part: &Range<usize>) -> Vec<Token<'a>> {
    let in_part = |token: &Token<'_>| part.contains(&token.at) && token.text.starts_with(['?', ':', '@', '$']);
    statement_tokens(sql).filter(in_part).collect()
}

/// The numbers of the parameters that are a `?` alone, which moves behind others here. `None`: one with a name moves.
fn numbers(sql: &str, parts: &Parts) -> Option<Vec<(usize, usize)>> {
    if parameters(sql, &parts.returning).iter().any(|token| token.text != "?") {
        return None;
    }
    let (mut numbered, mut largest, mut names) = (Vec::new(), 0, HashSet::new());
    for Token { text, at, .. } in parameters(sql, &(0..sql.len())) {
        let word = sql[at + 1..].split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        if text == "?" && word.is_empty() {
            largest += 1;
            numbered.push((at, largest));
        } else if text == "?" {
            largest = largest.max(word.parse().ok()?);
        } else if names.insert((text, word)) {
            largest += 1;
        }
    }
    Some(numbered)
}

#[cfg(test)]
mod tests {
    use super::{parts, splice};
    use proptest::prelude::*;

    fn rewritten(sql: &str) -> Option<String> {
        let stopped_at = sql.find("ORDER").or_else(|| sql.find("LIMIT"))?;
        let spliced = splice(sql, &parts(sql, stopped_at)?, "rowid")?;
        Some(spliced.text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn the_rows_are_chosen_by_a_subquery() {
        for (sql, expected) in [
            ("DELETE FROM t LIMIT 5", "DELETE FROM t WHERE (rowid) IN (SELECT rowid FROM t LIMIT 5 )"),
            (
                "WITH c AS (SELECT 1 LIMIT 2) DELETE FROM main.t AS x INDEXED BY i WHERE a IN (SELECT 1) RETURNING a ORDER BY b; SELECT 1",
                "WITH c AS (SELECT 1 LIMIT 2) DELETE FROM main.t AS x WHERE (rowid) IN (SELECT rowid FROM main.t AS x INDEXED BY i \
                 WHERE a IN (SELECT 1) ORDER BY b ) RETURNING a",
            ),
            (
                "UPDATE OR IGNORE t NOT INDEXED SET a = b IS DISTINCT FROM c, d = 1 ORDER BY b LIMIT 1 OFFSET 2 -- x",
                "UPDATE OR IGNORE t SET a = b IS DISTINCT FROM c, d = 1 WHERE (rowid) IN (SELECT rowid FROM t NOT INDEXED \
                 ORDER BY b LIMIT 1 OFFSET 2 )",
            ),
        ] {
            // `LIMIT` within the expression comes first in the second.
            let sql_of_clause = sql.replacen("LIMIT 2)", "limit 2)", 1);
            assert_eq!(rewritten(&sql_of_clause).map(|text| text.replace("limit 2)", "LIMIT 2)")), Some(expected.into()), "{sql}");
        }
        for other in [
            "UPDATE t SET a = 1 FROM u WHERE t.a = u.a ORDER BY b LIMIT 1",
            "SELECT 1 ORDER LIMIT",
            "UPDATE t ORDER BY a LIMIT 1",
            "DELETE FROM t LIMIT 1) OR (1",
            "DELETE FROM t LIMIT (1",
        ] {
            assert_eq!(rewritten(other), None, "{other}");
        }
    }

    #[test]
    fn parameters_keep_their_numbers() {
        assert_eq!(
            rewritten("UPDATE t SET a = ? WHERE b = ? RETURNING ?, a ORDER BY ? LIMIT ?").unwrap(),
            "UPDATE t SET a = ?1 WHERE (rowid) IN (SELECT rowid FROM t WHERE b = ?2 ORDER BY ?4 LIMIT ?5 ) RETURNING ?3, a"
        );
        assert_eq!(
            rewritten("DELETE FROM t WHERE a = ?3 AND b = :b AND c = ? RETURNING ? LIMIT :b").unwrap(),
            "DELETE FROM t WHERE (rowid) IN (SELECT rowid FROM t WHERE a = ?3 AND b = :b AND c = ?5 LIMIT :b ) RETURNING ?6"
        );
        assert_eq!(
            rewritten("DELETE FROM t WHERE a = ? RETURNING a LIMIT ?").unwrap(),
            "DELETE FROM t WHERE (rowid) IN (SELECT rowid FROM t WHERE a = ? LIMIT ? ) RETURNING a"
        );
        assert_eq!(rewritten("DELETE FROM t RETURNING :a LIMIT ?"), None);
    }

    const TOKENS: [&str; 24] = [
        "DELETE",
        "UPDATE",
        "FROM",
        "t",
        ".",
        "\"é",
        "'",
        "]",
        "SET",
        "a",
        "=",
        "WHERE",
        "(",
        ")",
        "RETURNING",
        "ORDER BY",
        "LIMIT",
        "?",
        "?9",
        ":é",
        ";",
        "--",
        "\n",
        "INDEXED",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_looked_at_safely(words in prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..20)) {
            let sql = format!("DELETE FROM {}", words.join(" "));
            for (stopped_at, _) in sql.char_indices() {
                if let Some(spliced) = parts(&sql, stopped_at).and_then(|parts| splice(&sql, &parts, "rowid")) {
                    prop_assert!((0..=spliced.text.len()).all(|at| spliced.source_of(at) <= sql.len()), "{}", sql);
                }
            }
        }
    }
}
