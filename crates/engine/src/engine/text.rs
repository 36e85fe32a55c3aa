//! What can be told of an SQL text without compiling it.
//!
//! **Not here:** what it means: SQLite knows.

use std::borrow::Cow;

/// Whether a text begins as statements do that change rows and not the schema.
pub(super) fn changes_rows(sql: &str) -> bool {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let one_statement = !has_several_statements(sql);
    one_statement && ["INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"].iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether a text is one statement that begins as those do that read rows. What begins with WITH may write all the same.
pub(super) fn begins_as_select(sql: &str) -> bool {
    let text = sql.trim_start();
    let is_comment = text.starts_with("--") || text.starts_with("/*");
    let begin = if is_comment { statement_tokens(text).next().map_or(0, |token| token.at) } else { 0 };
    let begins = |word: &str| text[begin..].get(..word.len()).is_some_and(|first| first.eq_ignore_ascii_case(word));
    ["SELECT", "WITH", "VALUES"].into_iter().any(begins) && !has_several_statements(sql)
}

/// What SQLite takes for a blank, and what may follow one: a vertical tab, too.
const BLANKS: [char; 5] = [' ', '\t', '\n', '\x0c', '\r'];
const BLANKS_AFTER_ONE: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

/// Whether SQLite finds nothing to compile in a text: blanks, `;` and comments (<https://www.sqlite.org/lang_comment.html>).
pub(super) fn is_blank(mut sql: &str) -> bool {
    loop {
        sql = if let Some(rest) = sql.strip_prefix(BLANKS) {
            rest.trim_start_matches(BLANKS_AFTER_ONE)
        } else if let Some(rest) = sql.strip_prefix([';', '\u{feff}']) {
            rest
        } else if let Some(comment) = sql.strip_prefix("--") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if let Some(comment) = sql.strip_prefix("/*").filter(|comment| !comment.is_empty()) {
            comment.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            return sql.is_empty();
        };
    }
}

/// Whether a `;` is followed by more text. It may be inside a string or a trigger: this only decides whether to look closer.
pub(super) fn has_several_statements(sql: &str) -> bool {
    sql.contains(';') && sql.trim_end().trim_end_matches(';').contains(';')
}

/// A token of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Where it begins in the text.
    pub(super) at: usize,
    /// How many parentheses are open.
    pub(super) depth: usize,
}

impl Token<'_> {
    /// Whether it is this word, not quoted.
    pub(super) fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

/// The tokens of the statement at the beginning of a text, without the `;`.
pub(super) fn statement_tokens(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let mut depth = 0_usize;
    tokens(sql).take_while(|text| *text != ";").map(move |text| {
        depth = depth.saturating_sub(usize::from(text == ")"));
        let token = Token { text, at: text.as_ptr() as usize - sql.as_ptr() as usize, depth };
        depth += usize::from(text == "(");
        token
    })
}

/// A name as it is meant.
pub(super) fn without_quotes(name: &str) -> Cow<'_, str> {
    let Some(quote @ ('"' | '`' | '\'' | '[')) = name.chars().next() else { return name.into() };
    let end = if quote == '[' { ']' } else { quote };
    let inner = name.strip_prefix(quote).and_then(|name| name.strip_suffix(end)).unwrap_or(name);
    if quote == '[' { inner.into() } else { inner.replace(&format!("{quote}{quote}"), &quote.to_string()).into() }
}

/// The tokens of a text, comments left out, nearly as SQLite tells them apart (<https://www.sqlite.org/lang_expr.html>).
fn tokens(mut sql: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    std::iter::from_fn(move || {
        loop {
            sql = sql.trim_start();
            let first = sql.chars().next()?;
            let quote = match first {
                '\'' | '"' | '`' => Some(first),
                '[' => Some(']'),
                _ => None,
            };
            let (end, is_comment) = if let Some(quote) = quote {
                (end_of_quoted(sql, quote), false)
            } else if let Some(comment) = sql.strip_prefix("--") {
                (comment.find('\n').map_or(sql.len(), |end| end + 3), true)
            } else if let Some(comment) = sql.strip_prefix("/*") {
                (comment.find("*/").map_or(sql.len(), |end| end + 4), true)
            } else if is_word(first) {
                (sql.find(|c| !is_word(c)).unwrap_or(sql.len()), false)
            } else {
                (first.len_utf8(), false)
            };
            let token;
            (token, sql) = sql.split_at(end);
            if !is_comment {
                return Some(token);
            }
        }
    })
}

/// The names of the tables that a text inserts into, those of the schema `main`.
pub(super) fn names_after_into(sql: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let mut tokens = tokens(sql).peekable();
    std::iter::from_fn(move || {
        tokens.find(|token| token.eq_ignore_ascii_case("INTO"))?;
        let name = tokens.next().map(without_quotes)?;
        let is_schema = tokens.next_if_eq(&".").is_some() && name.eq_ignore_ascii_case("main");
        if is_schema { tokens.next().map(without_quotes) } else { Some(name) }
    })
}

/// Where what is quoted at the beginning of a text ends. A quote in it is doubled, except `]`.
fn end_of_quoted(sql: &str, quote: char) -> usize {
    let mut end = 1;
    while let Some(found) = sql[end..].find(quote) {
        end += found + 1;
        if quote == ']' || !sql[end..].starts_with(quote) {
            return end;
        }
        end += 1;
    }
    sql.len()
}

/// PRAGMAs set things for a whole transaction, so they cannot share one.
pub(super) fn mentions_pragma(sql: &str) -> bool {
    let bytes = sql.as_bytes();
    let is_pragma =
        |at: usize| at.checked_sub(3).and_then(|from| bytes.get(from..from + 6)).is_some_and(|word| word.eq_ignore_ascii_case(b"pragma"));
    // Texts have megabytes, and few of this letter.
    memchr::memchr2_iter(b'g', b'G', bytes).any(is_pragma)
}

#[cfg(test)]
mod tests {
    use super::{begins_as_select, is_blank, mentions_pragma, tokens};
    use crate::sqlite::statement::SqlText;
    use rusqlite::Connection;
    use std::rc::Rc;

    /// Whether SQLite compiles a text to its end and finds no statement.
    fn compiles_to_nothing(connection: &Rc<Connection>, sql: &str) -> bool {
        let source = SqlText::new(sql);
        let mut begin = 0;
        while begin < sql.len() {
            match source.compile(connection, begin) {
                Ok((None, end)) => begin = end,
                Ok((Some(_), _)) | Err(_) => return false,
            }
        }
        true
    }

    #[test]
    fn a_text_is_blank_where_sqlite_compiles_nothing() {
        let connection = Rc::new(Connection::open_in_memory().unwrap());
        let alphabet = [" ", "\n", "\x0b", ";", "-", "/", "*", "x", "\u{feff}", "\u{a0}"];
        let mut texts = vec![String::new()];
        for _ in 0..5 {
            texts = texts.iter().flat_map(|text| alphabet.iter().map(move |end| format!("{text}{end}"))).collect();
            for text in &texts {
                assert_eq!(is_blank(text), compiles_to_nothing(&connection, text), "{text:?}");
            }
        }
    }

    #[test]
    fn tokens_are_those_of_sqlite() {
        let expected = ["'a''b'", "é", "[c]", "`d`", "+", "f_1$", "\"h"];
        assert_eq!(tokens("'a''b' é[c]`d`--e\n+f_1$/*g*/\"h").collect::<Vec<_>>(), expected);
    }

    #[test]
    fn reads_are_told_by_their_first_word() {
        for text in ["SELECT 1", " \n select 1;", "/* a */ SELECT 1", "-- a\nWITH c AS (SELECT 1) SELECT 2", "values (1)"] {
            assert!(begins_as_select(text), "{text}");
        }
        for text in [
            "",
            "INSERT INTO t SELECT 1",
            "SELECT 1; DELETE FROM t",
            "PRAGMA x",
            "é",
            "/* SELECT",
            "-- SELECT",
            "EXPLAIN SELECT 1",
            "(SELECT 1)",
        ] {
            assert!(!begins_as_select(text), "{text}");
        }
    }

    #[test]
    fn pragmas_are_found_wherever_they_are() {
        for text in ["PRAGMA x", "pragma", "; Pragma x", "gg pragma", "SELECT 1;pRaGmA y", "pragpragma"] {
            assert!(mentions_pragma(text), "{text}");
        }
        for text in ["", "g", "rag", "prag", "pra gma", "PRAG", "ragma", "éprágma", "ggggg"] {
            assert!(!mentions_pragma(text), "{text}");
        }
    }
}
