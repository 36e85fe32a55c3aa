//! Exports: the request for one, its answer, and what the address says that the text is fetched from.

use serde::{Deserialize, Serialize};

/// The body of a request to export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportRequest {
    /// `polling`: there is no other.
    pub output_format: String,
    /// The bookmark of an export that was asked for before.
    #[serde(default)]
    pub current_bookmark: Option<String>,
    /// What is exported.
    #[serde(default)]
    pub dump_options: Option<DumpOptions>,
    /// As what (Littoral's field).
    #[serde(default)]
    pub format: ExportFormat,
}

/// As what a database is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// SQL text.
    #[default]
    Sql,
    /// The database file, which plain SQLite opens.
    Sqlite,
}

/// What is exported: everything, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpOptions {
    /// Leaves out the schema.
    #[serde(default)]
    pub no_schema: bool,
    /// Leaves out the rows.
    #[serde(default)]
    pub no_data: bool,
    /// These only; none: all.
    #[serde(default)]
    pub tables: Vec<String>,
}

/// Where an export is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFile {
    /// A name for it.
    pub filename: String,
    /// Where it is fetched from, without a token, for an hour.
    pub signed_url: String,
}

/// What the address of an export says: which state, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportTicket {
    /// The state.
    pub bookmark: String,
    /// How much of it, as SQL text.
    pub options: DumpOptions,
    /// As what.
    pub format: ExportFormat,
}

impl ExportTicket {
    /// The query string.
    pub fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("bookmark", &self.bookmark);
        if self.format == ExportFormat::Sqlite {
            query.append_pair("format", "sqlite");
        }
        for (name, is_set) in [("no_schema", self.options.no_schema), ("no_data", self.options.no_data)] {
            if is_set {
                query.append_pair(name, "1");
            }
        }
        self.options.tables.iter().for_each(|table| {
            query.append_pair("table", table);
        });
        query.finish()
    }

    /// Reads a query string. What it does not know it leaves alone.
    pub fn parse(query: &str) -> ExportTicket {
        let mut ticket = ExportTicket { bookmark: String::new(), options: DumpOptions::default(), format: ExportFormat::Sql };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "bookmark" => ticket.bookmark = value.into_owned(),
                "format" if value == "sqlite" => ticket.format = ExportFormat::Sqlite,
                "no_schema" => ticket.options.no_schema = true,
                "no_data" => ticket.options.no_data = true,
                "table" => ticket.options.tables.push(value.into_owned()),
                _ => {}
            }
        }
        ticket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_written() {
        let options = DumpOptions { no_schema: true, no_data: false, tables: vec!["a&b=".into(), "\u{e9} #".into()] };
        for format in [ExportFormat::Sql, ExportFormat::Sqlite] {
            let ticket = ExportTicket { bookmark: "0-1".into(), options: options.clone(), format };
            assert_eq!(ExportTicket::parse(&format!("expires=1&{}&signature=ab", ticket.query())), ticket);
        }
    }
}
