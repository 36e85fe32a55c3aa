//! Results of D1's REST API: those of D1's protocol, with the envelope around them.
//!
//! **Not here:** what a request asks for (`request`), paths and who may (`front` of the Worker).

use super::json::JsonResult;
use super::request::ExportBody;
use super::run::Answer;
use crate::engine::{CallResult, Diff, DiffOptions, Error, Failure, Imported, Rewritten, RowDiff, SchemaDiff, Snapshot, TableDiff};
use littoral_protocol::Bookmark;
use littoral_protocol::rest::{
    DiffBody, Envelope, ImportMeta, ImportResult, Refusal, RestoreBody, RowDiffBody, SchemaDiffBody, TableDiffBody,
};
use littoral_protocol::sql::{Code, Point, Value};
use std::fmt::Display;

/// The results of a call, or why there are none.
pub(super) fn results(result: CallResult<JsonResult>) -> String {
    match result {
        Ok(outputs) => format!("{{\"result\":[{}],\"success\":true,\"errors\":[],\"messages\":[]}}", outputs.join(",")),
        Err(failed) => Refusal::sql(&failed, failed.error.code()).to_json(),
    }
}

/// What was restored or promoted, or why nothing was.
pub(super) fn restored(verb: &str, restored: Result<Rewritten, Failure>) -> Answer {
    match restored {
        Ok(Rewritten { bookmark, previous }) => {
            let (bookmark, previous_bookmark) = (bookmark.to_string(), previous.to_string());
            let message = format!("{verb}; to undo this, restore {previous_bookmark}");
            let body = RestoreBody { bookmark: bookmark.clone(), previous_bookmark, message };
            Answer { body: Envelope::of(body).to_json(), bookmark: Some(bookmark) }
        }
        Err(failed) => refused(&failed, failed.error.code()),
    }
}

/// What was imported, or why nothing was.
pub(super) fn imported(imported: Result<(Imported, Bookmark), Failure>) -> Answer {
    match imported {
        Ok((Imported { statements, rows_read, rows_written, size_after }, bookmark)) => {
            let bookmark = bookmark.to_string();
            let meta = ImportMeta { duration: 0, rows_read, rows_written, size_after };
            let result = ImportResult { num_queries: statements, final_bookmark: bookmark.clone(), meta };
            Answer { body: Envelope::of(result).to_json(), bookmark: Some(bookmark) }
        }
        Err(failed) => {
            let at = failed.place.map(|place| format!(" (in the statement that begins at byte {} of the file)", place.offset));
            let message = format!("{failed}{}; nothing of it was kept", at.unwrap_or_default());
            refused(&message, failed.error.code())
        }
    }
}

/// A file that was loaded, or why none was.
pub(super) fn loaded(loaded: Result<Rewritten, Failure>, size_after: u64) -> Answer {
    imported(loaded.map(|Rewritten { bookmark, .. }| (Imported { size_after, ..Imported::default() }, bookmark)))
}

/// A part of an export: where the next one begins, in JSON on a line, and statements, a line each. The parts of one text are of one state, so
/// another one than that of the bookmark is none.
pub(super) fn exported(point: Option<Point>, reader: &Snapshot, part: &ExportBody) -> Answer {
    let state = reader.state().bookmark();
    if let Some(Point::Bookmark(bookmark)) = point.filter(|point| *point != Point::Bookmark(state)) {
        let error = Error::UnknownBookmark { bookmark, newest: state };
        return refused(&error, error.code());
    }
    match reader.export_part(&part.options, part.place.clone()) {
        Ok(part) => {
            let mut body = serde_json::to_string(&part.next).unwrap_or_default();
            for statement in &part.statements {
                body.push('\n');
                body.push_str(statement);
            }
            body.push('\n');
            Answer { body, bookmark: Some(state.to_string()) }
        }
        Err(failed) => refused(&failed, failed.error.code()),
    }
}

/// What differs between two states, or why that cannot be told.
pub(super) fn diffed(reader: &Snapshot, options: &DiffOptions) -> Answer {
    let bookmark = |reader: &Snapshot| reader.state().bookmark().to_string();
    let (from, to) = (reader.beside().map(bookmark).unwrap_or_default(), bookmark(reader));
    match reader.diff(options) {
        Ok(Diff { schema, tables }) => {
            let schema = schema.into_iter().map(|SchemaDiff { kind, name, before, after }| SchemaDiffBody { kind, name, before, after });
            let body = DiffBody { from, to: to.clone(), schema: schema.collect(), tables: tables.into_iter().map(table_diff).collect() };
            Answer { body: Envelope::of(body).to_json(), bookmark: Some(to) }
        }
        Err(failed) => refused(&failed, failed.error.code()),
    }
}

fn table_diff(table: TableDiff) -> TableDiffBody {
    let TableDiff { name, key, columns, added, removed, changed, rows } = table;
    let row = |values: Vec<Value>| columns.iter().cloned().zip(values.into_iter().map(json)).collect();
    let rows = rows.into_iter().map(|RowDiff { key, before, after }| RowDiffBody {
        key: key.into_iter().map(json).collect(),
        before: before.map(row),
        after: after.map(row),
    });
    TableDiffBody { name, key, added, removed, changed, rows: rows.collect() }
}

/// As D1 shows it: bytes are an array of numbers.
fn json(value: Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Integer(integer) => integer.into(),
        Value::Real(real) => real.into(),
        Value::Text(text) => text.into(),
        Value::Blob(bytes) => bytes.into(),
    }
}

fn refused(message: &impl Display, code: Code) -> Answer {
    Answer { body: Refusal::sql(message, code).to_json(), bookmark: None }
}
