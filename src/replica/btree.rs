//! The little that prefetching knows about b-tree pages: which pages are the children of an interior page.
//!
//! Source: <https://www.sqlite.org/fileformat2.html#b_tree_pages>. A page begins with its type (2: interior page of an index, 5: of a
//! table); at 3 stands the number of cells, at 8 the right-most child, and from 12 on where each cell begins, whose first four bytes are
//! its child. On page 1 all of this comes after the 100 bytes of the database header.
//!
//! **Not here:** anything that could make an answer wrong: what is read here decides only what is fetched early.

use crate::page::Pgno;

const HEADER_BYTES: usize = 100;
const INTERIOR_INDEX: u8 = 2;
const INTERIOR_TABLE: u8 = 5;

/// The children of an interior page from left to right; empty for any other page. A page that only looks like one names anything.
pub fn children(pgno: Pgno, image: &[u8]) -> Vec<Pgno> {
    let start = if pgno == Pgno::FIRST { HEADER_BYTES } else { 0 };
    let mut children = read_children(image, start).unwrap_or_default();
    children.retain(|child| child.0 > 0);
    children
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
