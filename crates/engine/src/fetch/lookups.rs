//! What to fetch when a missing page is on the way to a row that an index led to: the pages on the way to the rows that the index names next.
//!
//! SQLite reads an index leaf and looks its rows up one by one, each wherever it lies in the table. The leaf and the table's interior pages
//! are here already, so where those rows lie is known before SQLite asks. That it is a scan, and no lookup of a single row, shows when all
//! rows between the last one that was missing and this one are here.
//!
//! **Not here:** scans of tables and of indexes themselves (`prefetch`). A wrong guess costs bytes only.

use super::btree;
use littoral_protocol::Pgno;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Pages that are fetched at once, the longer the scan the more.
const WINDOWS: [usize; 3] = [1, 32, 512];
/// Rows that are looked at for one window.
const MOST_ROWS: usize = 2_048;
/// Leaves of the index that are fetched at once for the rows that they name.
const MOST_LEAVES: usize = 8;

/// What is held of the state that is read.
pub(super) trait Held {
    /// The page, if it is here.
    fn page(&self, pgno: Pgno) -> Option<Rc<[u8]>>;

    /// Whether the page is here.
    fn has(&self, pgno: Pgno) -> bool;
}

/// How far a scan of an index has come.
#[derive(Clone, Copy)]
pub(super) struct Lookups {
    /// The leaf of the index that was read last.
    leaf: Pgno,
    /// The row whose page was missing last.
    row: i64,
    order: Order,
    window: usize,
}

/// The order in which an index is scanned.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Ascending,
    Descending,
}

impl Order {
    fn other(self) -> Order {
        match self {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        }
    }
}

/// A leaf of an index, and the page above it, if that was read.
pub(super) struct IndexPlace<'a> {
    pub(super) leaf: (Pgno, &'a [u8]),
    pub(super) parent: Option<(Pgno, &'a [u8])>,
}

impl Lookups {
    /// The scan that a missing page is part of, and the pages to fetch, the missing one first; none: it may be no scan yet. `None`: no row of
    /// the leaf that was read last is behind that page. `top` is the highest page known of the table.
    pub(super) fn at_miss(
        before: Option<Lookups>,
        missing: Pgno,
        index: &IndexPlace<'_>,
        top: (Pgno, &Rc<[u8]>),
        held: &dyn Held,
    ) -> Option<(Lookups, Vec<Pgno>)> {
        let is_sibling = |leaf: Pgno| index.parent.is_some_and(|(pgno, parent)| btree::children(pgno, parent).contains(&leaf));
        let mut table = Table::new(top, held);
        let mut begun = None;
        let order = before.map_or(Order::Ascending, |before| before.order);
        for order in [order, order.other()] {
            let rows = Rows::named_by(index, order, held);
            let lookups = |at: usize, window: usize| Lookups { leaf: index.leaf.0, row: rows.ids[at], order, window };
            if let Some(before) = before.filter(|before| before.leaf == index.leaf.0 || is_sibling(before.leaf)) {
                let last = rows.ids.iter().position(|row| *row == before.row);
                let next = (last.unwrap_or(0)..rows.ids.len()).find(|at| table.first_missing(rows.ids[*at]).is_some());
                if let Some(at) = next.filter(|at| table.first_missing(rows.ids[*at]) == Some(missing)) {
                    // The way to one row may have several missing pages: that is no progress yet.
                    let window = (before.window + usize::from(last != Some(at))).min(WINDOWS.len() - 1);
                    let pages = if window == 0 { Vec::new() } else { rows.pages_from(at, missing, window, &mut table) };
                    return Some((lookups(at, window), pages));
                }
            }
            // It may begin anywhere in the leaf: with this row, or with another that is behind the same page.
            let first = rows.ids.iter().position(|row| table.first_missing(*row) == Some(missing));
            begun = begun.or(first.map(|at| (lookups(at, 0), Vec::new())));
        }
        begun
    }
}

/// The rows that an index names from the beginning of a leaf on, as far as its pages are here.
struct Rows {
    ids: Vec<i64>,
    /// The leaves that come next, and are not here.
    next_leaves: Vec<Pgno>,
    /// Rows of a leaf, about.
    each: usize,
}

impl Rows {
    fn named_by(index: &IndexPlace<'_>, order: Order, held: &dyn Held) -> Rows {
        let rows_of = |page: &[u8]| {
            let mut rows = btree::rows_of_index_page(page);
            if order == Order::Descending {
                rows.reverse();
            }
            rows
        };
        let ids: Vec<i64> = rows_of(index.leaf.1).into_iter().flatten().collect();
        let mut rows = Rows { each: ids.len().max(1), ids, next_leaves: Vec::new() };
        let Some((pgno, parent)) = index.parent else { return rows };
        // A row of the parent stands between two leaves.
        let (mut leaves, between) = (btree::children(pgno, parent), rows_of(parent));
        if leaves.len() != between.len() + 1 {
            return rows;
        }
        if order == Order::Descending {
            leaves.reverse();
        }
        let own = leaves.iter().position(|leaf| *leaf == index.leaf.0).unwrap_or(leaves.len());
        for next in own + 1..leaves.len() {
            let Some(leaf) = held.page(leaves[next]).filter(|_| rows.ids.len() < MOST_ROWS) else {
                rows.next_leaves = leaves[next..].iter().copied().filter(|leaf| !held.has(*leaf)).take(MOST_LEAVES).collect();
                break;
            };
            rows.ids.extend(between[next - 1].into_iter().chain(rows_of(&leaf).into_iter().flatten()));
        }
        rows
    }

    /// Missing pages on the way to the rows from `at` on, and the leaves of the index that name those of the window after this one.
    fn pages_from(&self, at: usize, missing: Pgno, window: usize, table: &mut Table<'_>) -> Vec<Pgno> {
        let [most, next] = [window, window + 1].map(|window| WINDOWS[window.min(WINDOWS.len() - 1)]);
        let mut known = HashSet::from([missing]);
        let rows = self.ids[at..].iter().filter_map(|row| table.first_missing(*row)).filter(|page| known.insert(*page));
        let mut pages: Vec<Pgno> = std::iter::once(missing).chain(rows).take(most + next).collect();
        let later = pages.len().saturating_sub(most);
        // As many pages as the rows known had, neighbours having few.
        let each = (pages.len() * self.each).div_ceil(self.ids[at..].len().max(1)).max(1);
        pages.truncate(most);
        pages.extend(self.next_leaves.iter().take((next - later).div_ceil(each)));
        pages
    }
}

/// The pages of a table from one down, as far as they are here.
struct Table<'a> {
    top: Pgno,
    interior: HashMap<Pgno, Option<Rc<[u8]>>>,
    /// Steps from the top to a leaf, once one was seen: leaves need not be read.
    depth: Option<usize>,
    held: &'a dyn Held,
}

impl<'a> Table<'a> {
    fn new((top, image): (Pgno, &Rc<[u8]>), held: &'a dyn Held) -> Table<'a> {
        Table { top, interior: HashMap::from([(top, Some(image.clone()))]), depth: None, held }
    }

    /// The first page on the way to a row that is not here.
    fn first_missing(&mut self, row: i64) -> Option<Pgno> {
        /// Deeper than any table is.
        const MOST_STEPS: usize = 20;
        let mut pgno = self.top;
        for step in 0..MOST_STEPS {
            if self.depth == Some(step) {
                return (!self.held.has(pgno)).then_some(pgno);
            }
            let held = self.held;
            let Some(image) = self.interior.entry(pgno).or_insert_with(|| held.page(pgno)) else { return Some(pgno) };
            let Some(child) = btree::child_of_row(pgno, image, row) else {
                self.depth = Some(step);
                return None;
            };
            pgno = child;
        }
        None
    }
}
