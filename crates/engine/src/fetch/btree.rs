//! The little that prefetching knows about b-tree pages: which pages are the children of an interior page, where tables begin, which rows an
//! index names, and on which side of an interior page a row is.
//!
//! Source: <https://www.sqlite.org/fileformat2.html#b_tree_pages>. A page begins with its type (2: interior page of an index, 5: of a
//! table, 10 and 13: leaves); at 3 stands the number of cells, at 8 an interior page's right-most child, and from 12 on (8 in a leaf) where
//! each cell begins. An interior page's cell begins with its child in four bytes; what follows is the largest row id below it (table), or
//! the length of a record and the record, whose last column is a row id (index). On page 1 all of this comes after the 100 bytes of the
//! database header.
//!
//! **Not here:** anything that could make an answer wrong: what is read here decides only what is fetched early.

use littoral_protocol::Pgno;

const HEADER_BYTES: usize = 100;
const INTERIOR_INDEX: u8 = 2;
const INTERIOR_TABLE: u8 = 5;
const LEAF_INDEX: u8 = 10;
const LEAF_TABLE: u8 = 13;

/// Whether a page looks like an interior one.
pub fn is_interior(pgno: Pgno, image: &[u8]) -> bool {
    kind(pgno, image).is_some_and(|kind| matches!(kind, INTERIOR_INDEX | INTERIOR_TABLE))
}

/// Whether a page looks like an interior one of a table.
pub fn is_interior_of_table(pgno: Pgno, image: &[u8]) -> bool {
    kind(pgno, image) == Some(INTERIOR_TABLE)
}

/// Whether a page looks like a leaf of an index.
pub fn is_leaf_of_index(image: &[u8]) -> bool {
    image.first() == Some(&LEAF_INDEX)
}

fn kind(pgno: Pgno, image: &[u8]) -> Option<u8> {
    image.get(if pgno == Pgno::FIRST { HEADER_BYTES } else { 0 }).copied()
}

/// The ids of the rows that a page of an index names, one for each of its entries, in their order; `None` where the entry goes on on another
/// page, or ends in something else. Empty for other pages.
pub fn rows_of_index_page(image: &[u8]) -> Vec<Option<i64>> {
    let (cells_at, child_bytes) = match image.first() {
        Some(&INTERIOR_INDEX) => (12, 4),
        Some(&LEAF_INDEX) => (8, 0),
        _ => return Vec::new(),
    };
    let most_bytes = (image.len().saturating_sub(12) * 64 / 255).saturating_sub(23);
    let cells = (0..u16_at(image, 3).unwrap_or(0)).map_while(|cell| u16_at(image, cells_at + 2 * cell));
    cells.map(|at| image.get(at + child_bytes..).and_then(|cell| last_integer(cell, most_bytes))).collect()
}

/// The last column of the record in a cell, if that is an integer and the record is whole: of longer ones another page has the rest.
fn last_integer(cell: &[u8], most_bytes: usize) -> Option<i64> {
    let (payload_bytes, record) = varint(cell)?;
    let record = record.get(..usize::try_from(payload_bytes).ok().filter(|bytes| *bytes <= most_bytes)?)?;
    let (header_bytes, header) = varint(record)?;
    let mut types = header.get(..usize::try_from(header_bytes).ok()?.checked_sub(record.len() - header.len())?)?;
    let mut last = None;
    while !types.is_empty() {
        let (kind, rest) = varint(types)?;
        (last, types) = (Some(kind), rest);
    }
    // Integers of 1, 2, 3, 4, 6 and 8 bytes, and the constants 0 and 1.
    let bytes = match last? {
        kind @ 1..=4 => kind as usize,
        5 => 6,
        6 => 8,
        8 => return Some(0),
        9 => return Some(1),
        _ => return None,
    };
    let bytes = record.get(record.len() - bytes..)?;
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    Some(bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte)))
}

/// The child of an interior page of a table below which a row is; `None`: it is another kind of page.
pub fn child_of_row(pgno: Pgno, image: &[u8], row: i64) -> Option<Pgno> {
    if kind(pgno, image) != Some(INTERIOR_TABLE) {
        return None;
    }
    let start = if pgno == Pgno::FIRST { HEADER_BYTES } else { 0 };
    let (mut low, mut high) = (0, u16_at(image, start + 3)?);
    let cell = |at: usize| image.get(u16_at(image, start + 12 + 2 * at)?..);
    while low < high {
        let middle = low.midpoint(high);
        let (largest, _) = varint(cell(middle)?.get(4..)?)?;
        if (largest as i64) < row { low = middle + 1 } else { high = middle }
    }
    let child = if low == u16_at(image, start + 3)? { image.get(start + 8..)? } else { cell(low)? };
    Some(Pgno(u32::from_be_bytes(*child.first_chunk()?))).filter(|child| child.0 > 0)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
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
    let cells = (0..u16_at(page, 3).unwrap_or(0)).map_while(|cell| u16_at(page, 8 + 2 * cell));
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
    let child_at = |at: usize| Some(Pgno(u32::from_be_bytes(*image.get(at..)?.first_chunk()?)));
    let cells = u16_at(image, start + 3)?;
    let mut children = Vec::with_capacity(cells + 1);
    for cell in 0..cells {
        children.push(child_at(u16_at(image, start + 12 + 2 * cell)?)?);
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

    /// Pages of a file, and the root of a table or index of it.
    fn file(statements: &str) -> (Vec<u8>, impl Fn(&str) -> Pgno + use<>) {
        let mut connection = rusqlite::Connection::open_in_memory().unwrap();
        connection.execute_batch(statements).unwrap();
        let file = connection.serialize("main").unwrap().to_vec();
        let root = move |name: &str| {
            Pgno(connection.query_row("SELECT rootpage FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0)).unwrap())
        };
        (file, root)
    }

    fn page(file: &[u8], pgno: Pgno) -> &[u8] {
        &file[(pgno.0 as usize - 1) * 4096..][..4096]
    }

    /// All rows that an index names, in its order.
    fn named(file: &[u8], pgno: Pgno) -> Vec<Option<i64>> {
        let (rows, children) = (rows_of_index_page(page(file, pgno)), children(pgno, page(file, pgno)));
        let Some((last, children)) = children.split_last() else { return rows };
        let mut all: Vec<_> = children.iter().zip(rows).flat_map(|(child, row)| named(file, *child).into_iter().chain([row])).collect();
        all.extend(named(file, *last));
        all
    }

    #[test]
    fn an_index_names_its_rows() {
        let keys = "1 - i, (i * 31 - 400) * i * i * i, -9000000000000000000 + i, i + (1 << 40)";
        let (file, root) = file(&format!(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, key); CREATE INDEX k ON t (key); CREATE TABLE l (id INTEGER PRIMARY KEY, key); \
             CREATE INDEX long ON l (key); WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 900) \
             INSERT OR IGNORE INTO t SELECT value, value || '' FROM n, json_each(json_array({keys})); \
             INSERT INTO l VALUES (1, 'a'), (7, printf('%.9000c', 'b')), (-3, 'c')"
        ));
        let rows = named(&file, root("k"));
        let mut sorted: Vec<i64> = rows.iter().map(|row| row.unwrap()).collect();
        assert!(sorted.len() > 3_000 && sorted.windows(2).all(|two| two[0].to_string() < two[1].to_string()), "in the order of their text");
        sorted.sort_unstable();
        for id in [-899, 0, 1, 1 << 40, -9_000_000_000_000_000_000] {
            assert!(sorted.binary_search(&id).is_ok(), "{id}");
        }
        assert_eq!(named(&file, root("long")), [Some(1), None, Some(-3)], "of a long one another page has the rest");
        assert_eq!(rows_of_index_page(page(&file, root("t"))), [], "a table's page names none");
    }

    #[test]
    fn a_row_is_below_the_child_that_is_named() {
        let (file, root) = file(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, filler); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) \
             INSERT INTO t SELECT i * 3 - 40000, printf('%.60c', 'x') FROM n",
        );
        for row in [i64::MIN, -40_000, -39_997, -1, 0, 1, 2, 3, 12_345, 49_999, 50_000, i64::MAX] {
            let (mut pgno, mut steps) = (root("t"), 0);
            while let Some(child) = child_of_row(pgno, page(&file, pgno), row) {
                (pgno, steps) = (child, steps + 1);
            }
            let leaf = page(&file, pgno);
            assert_eq!((steps, leaf[0]), (2, LEAF_TABLE), "{row}");
            let cell = |at: usize| varint(varint(&leaf[u16_at(leaf, 8 + 2 * at).unwrap()..]).unwrap().1).unwrap().0 as i64;
            let (first, last) = (cell(0), cell(u16_at(leaf, 3).unwrap() - 1));
            assert!((first - 2 <= row || first <= -39_997) && (row <= last || last == 50_000), "{row}: {first} to {last}");
        }
    }

    #[test]
    fn what_is_no_page_names_nothing() {
        for length in [0, 1, 11, 12, 13, 100, 512, 4096] {
            for kind in 0..=255 {
                for fill in [0, 1, 0x7f, 0xff] {
                    let mut image = vec![fill; length];
                    if let Some(first) = image.first_mut() {
                        *first = kind;
                    }
                    let _ = (rows_of_index_page(&image), child_of_row(Pgno(2), &image, 7), child_of_row(Pgno::FIRST, &image, 7));
                }
            }
        }
    }

    #[test]
    fn what_is_no_schema_has_no_roots() {
        assert_eq!(roots(&[]), []);
        for byte in [0, 13, 0xff] {
            let _ = roots(&vec![byte; 512]);
        }
    }
}
