//! The little that prefetching knows about b-tree pages: which pages are the children of an interior page, and where tables begin.
//!
//! Source: <https://www.sqlite.org/fileformat2.html#b_tree_pages>. A page begins with its type (2: interior page of an index, 5: of a
//! table); at 3 stands the number of cells, at 8 the right-most child, and from 12 on where each cell begins, whose first four bytes are
//! its child. On page 1 all of this comes after the 100 bytes of the database header.
//!
//! **Not here:** anything that could make an answer wrong: what is read here decides only what is fetched early.

use littoral_protocol::Pgno;

const LEAF_TABLE: u8 = 13;
const HEADER_BYTES: usize = 100;
const INTERIOR_INDEX: u8 = 2;
const INTERIOR_TABLE: u8 = 5;

/// Whether a page looks like an interior one.
pub fn is_interior(pgno: Pgno, image: &[u8]) -> bool {
    let start = if pgno == Pgno::FIRST { HEADER_BYTES } else { 0 };
    image.get(start).is_some_and(|kind| matches!(*kind, INTERIOR_INDEX | INTERIOR_TABLE))
}

/// The children of an interior page from left to right; empty for any other page. A page that only looks like one names anything.
pub fn children(pgno: Pgno, image: &[u8]) -> Vec<Pgno> {
    let start = if pgno == Pgno::FIRST { HEADER_BYTES } else { 0 };
    let mut children = read_children(image, start).unwrap_or_default();
    children.retain(|child| child.0 > 0);
    children
}

/// The root pages of tables and indexes, in the order of the schema, as far as the first page holds it (a schema of many tables is a tree).
///
/// Source: <https://www.sqlite.org/fileformat2.html#storage_of_the_sql_database_schema>. A row of the schema is a record of type, name, table
/// name, root page and SQL.
pub fn roots(first_page: &[u8]) -> Vec<Pgno> {
    let page = first_page.get(HEADER_BYTES..).unwrap_or_default();
    if page.first() != Some(&LEAF_TABLE) {
        return Vec::new();
    }
    let u16_at = |at: usize| Some(usize::from(u16::from_be_bytes(*page.get(at..)?.first_chunk()?)));
    let cells = (0..u16_at(3).unwrap_or(0)).map_while(|cell| u16_at(8 + 2 * cell));
    let mut roots: Vec<Pgno> = cells.filter_map(|at| root_of(first_page.get(at..)?)).filter(|root| root.0 > 0).collect();
    // Cells are in the order of row ids, and rows come in the order in which tables were made.
    roots.dedup();
    roots
}

/// The root page in a cell of the schema.
fn root_of(cell: &[u8]) -> Option<Pgno> {
    const COLUMNS_BEFORE: usize = 3;
    let (_, rest) = varint(cell)?;
    let (_, record) = varint(rest)?;
    let (header_bytes, mut types) = varint(record)?;
    let mut at = usize::try_from(header_bytes).ok()?;
    for _ in 0..COLUMNS_BEFORE {
        let (kind, rest) = varint(types)?;
        at = at.checked_add(usize::try_from(kind.checked_sub(12)? / 2).ok()?)?;
        types = rest;
    }
    let (kind, _) = varint(types)?;
    // Integers of 1 to 4 bytes; 8 and 9 are 0 and 1, which is no root of anybody's.
    let bytes = record.get(at..)?.get(..usize::try_from(kind).ok().filter(|bytes| (1..=4).contains(bytes))?)?;
    Some(Pgno(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))))
}

/// An integer of 1 to 9 bytes, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        if index == 8 {
            return Some((value << 8 | u64::from(*byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

fn read_children(image: &[u8], start: usize) -> Option<Vec<Pgno>> {
    if !matches!(*image.get(start)?, INTERIOR_INDEX | INTERIOR_TABLE) {
        return None;
    }
    let u16_at = |at: usize| Some(usize::from(u16::from_be_bytes(*image.get(at..)?.first_chunk()?)));
    let child_at = |at: usize| Some(Pgno(u32::from_be_bytes(*image.get(at..)?.first_chunk()?)));
    let cells = u16_at(start + 3)?;
    let mut children = Vec::with_capacity(cells + 1);
    for cell in 0..cells {
        children.push(child_at(u16_at(start + 12 + 2 * cell)?)?);
    }
    children.push(child_at(start + 8)?);
    Some(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first page of a database with these tables, and what SQLite says of its schema.
    fn schema(statements: &str) -> (Vec<u8>, Vec<Pgno>) {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(statements).unwrap();
        let mut query = connection.prepare("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0 ORDER BY rowid").unwrap();
        let roots = query.query_map([], |row| row.get(0)).unwrap().map(|root| Pgno(root.unwrap())).collect();
        drop(query);
        let file = connection.serialize("main").unwrap().to_vec();
        (file, roots)
    }

    #[test]
    fn roots_are_those_of_the_schema() {
        let long = format!("CREATE TABLE long (a /* {} */)", "x".repeat(9_000));
        let (file, expected) = schema(&format!(
            "CREATE TABLE t (a); CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT 1; {long}; CREATE TABLE u (a PRIMARY KEY, b UNIQUE) WITHOUT ROWID"
        ));
        assert_eq!(roots(&file[..4096]), expected);
        assert_eq!(expected.len(), 5);
    }

    #[test]
    fn what_is_no_schema_has_no_roots() {
        assert_eq!(roots(&[]), []);
        for byte in [0, 13, 0xff] {
            let _ = roots(&vec![byte; 512]);
        }
    }
}
