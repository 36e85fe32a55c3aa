//! Exports: the request for one, its answer, and the address that the text is fetched from, which is signed: whoever fetches it shows no token.

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

/// The answer to a request to export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportAnswer {
    /// It has not failed.
    pub success: bool,
    /// `export`
    #[serde(rename = "type")]
    pub kind: String,
    /// The state that is exported.
    pub at_bookmark: String,
    /// What happens, for people.
    pub messages: Vec<String>,
    /// `complete`: it is made while it is fetched.
    pub status: String,
    /// Where it is.
    pub result: ExportFile,
}

/// Where an export is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFile {
    /// A name for it.
    pub filename: String,
    /// Where it is fetched from, without a token, for an hour.
    pub signed_url: String,
}

/// What the address of an export says: which state, how much of it, until when in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportTicket {
    /// The database's id.
    pub database: String,
    /// The state.
    pub bookmark: String,
    /// How much of it.
    pub options: DumpOptions,
    /// When the address is no longer good.
    pub expires_ms: u64,
}

impl ExportTicket {
    /// The query string, but for the signature; that is made of this text and the database's id.
    pub fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("bookmark", &self.bookmark).append_pair("expires", &self.expires_ms.to_string());
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

    /// Reads a query string: the ticket, and the signature that came with it.
    pub fn parse(database: &str, query: &str) -> (ExportTicket, String) {
        let (database, bookmark, options) = (database.to_owned(), String::new(), DumpOptions::default());
        let mut ticket = ExportTicket { database, bookmark, options, expires_ms: 0 };
        let mut signature = String::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "bookmark" => ticket.bookmark = value.into_owned(),
                "expires" => ticket.expires_ms = value.parse().unwrap_or_default(),
                "no_schema" => ticket.options.no_schema = true,
                "no_data" => ticket.options.no_data = true,
                "table" => ticket.options.tables.push(value.into_owned()),
                "signature" => signature = value.into_owned(),
                _ => {}
            }
        }
        (ticket, signature)
    }
}

/// When an address is no longer good, in milliseconds since 1970, and its signature.
pub fn signed(query: &str) -> (u64, String) {
    let (ticket, signature) = ExportTicket::parse("", query);
    (ticket.expires_ms, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_as_it_was_written() {
        let options = DumpOptions { no_schema: true, no_data: false, tables: vec!["a&b=".into(), "\u{e9} #".into()] };
        let ticket = ExportTicket { database: "id".into(), bookmark: "0-1".into(), options, expires_ms: 17 };
        let read = ExportTicket::parse("id", &format!("{}&signature=ab", ticket.query()));
        assert_eq!(read, (ticket, "ab".into()));
    }
}
