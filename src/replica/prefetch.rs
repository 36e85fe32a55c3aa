//! What to fetch with a page that is missing: what a scan would want next.
//!
//! A connection leaves a trail: the interior pages that it read last, and the pages themselves. A missing page that follows its elder sibling
//! under one of those parents is part of a scan, and so is one that follows the page before it in the file (a long value's overflow pages).
//! A scan is given a window of what comes next, and a larger one each time that it runs out.
//!
//! **Not here:** fetching (`reader`). A wrong guess costs bytes only.

use super::btree;
use crate::page::Pgno;
use std::collections::VecDeque;

/// Interior pages remembered: those on the way to a leaf, of a few tables and indexes at once.
const PARENTS: usize = 8;
/// The windows of a scan, one after the other.
const WINDOWS: [usize; 3] = [1, 8, 64];

/// The way that a connection took.
#[derive(Default)]
pub(super) struct Trail {
    parents: VecDeque<Parent>,
    /// The window of a scan that has come to the end of its parent: it goes on under another.
    at_end: Option<usize>,
    last: Option<Pgno>,
    /// Steps to the next page of the file, in a row.
    run: usize,
}

struct Parent {
    pgno: Pgno,
    children: Vec<Pgno>,
    last: Option<usize>,
    window: usize,
}

impl Trail {
    /// A page was read.
    pub(super) fn saw(&mut self, pgno: Pgno, image: &[u8]) {
        self.run = if self.last == Some(Pgno(pgno.0.saturating_sub(1))) { self.run + 1 } else { 0 };
        self.last = Some(pgno);
        for parent in &mut self.parents {
            if let Some(index) = parent.index_of(pgno) {
                let in_order = index.checked_sub(1).is_some_and(|elder| parent.last == Some(elder));
                parent.last = Some(index);
                if in_order && index + 1 == parent.children.len() {
                    self.at_end = Some(parent.window);
                }
            }
        }
        let children = btree::children(pgno, image);
        self.parents.retain(|parent| parent.pgno != pgno);
        if !children.is_empty() {
            self.parents.truncate(PARENTS - 1);
            self.parents.push_front(Parent { pgno, children, last: None, window: 0 });
        }
    }

    /// The pages to fetch when `pgno` is missing: itself first, and no page that is not there. The trail may be that of another state.
    pub(super) fn window(&mut self, pgno: Pgno, page_count: u32) -> Vec<Pgno> {
        let sibling = self.parents.iter_mut().find_map(|parent| parent.index_of(pgno).map(|index| (parent, index)));
        if let Some((parent, index)) = sibling {
            let in_order = index.checked_sub(1).is_some_and(|elder| parent.last == Some(elder));
            let goes_on = if index == 0 { self.at_end } else { Some(parent.window).filter(|_| in_order) };
            parent.window = goes_on.map_or(0, |window| (window + 1).min(WINDOWS.len() - 1));
            self.at_end = None;
            let end = (index + WINDOWS[parent.window]).min(parent.children.len());
            return parent.children[index..end].iter().copied().filter(|child| child.0 <= page_count).collect();
        }
        let follows = self.last.is_some_and(|last| last.0 + 1 == pgno.0);
        let window = if follows { WINDOWS[self.run.min(WINDOWS.len() - 1)] as u32 } else { 1 };
        (pgno.0..=page_count.min(pgno.0 + window - 1)).map(Pgno).collect()
    }
}

impl Parent {
    fn index_of(&self, pgno: Pgno) -> Option<usize> {
        // Mostly the one after the last.
        let next = self.last.map_or(0, |last| last + 1);
        if self.children.get(next) == Some(&pgno) {
            return Some(next);
        }
        self.children.iter().position(|child| *child == pgno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interior page of a table with these children.
    fn interior(children: &[u8]) -> Vec<u8> {
        let (last, cells) = children.split_last().unwrap();
        let mut image = vec![0; 512];
        (image[0], image[4], image[11]) = (5, cells.len() as u8, *last);
        for (cell, child) in cells.iter().enumerate() {
            image[13 + 2 * cell] = 100 + 4 * cell as u8;
            image[103 + 4 * cell] = *child;
        }
        image
    }

    #[test]
    fn a_scan_keeps_its_window_under_the_next_parent() {
        let mut trail = Trail::default();
        trail.saw(Pgno(2), &interior(&[10, 11, 12]));
        for leaf in 10..=12 {
            trail.window(Pgno(leaf), 99);
            trail.saw(Pgno(leaf), &[0; 512]);
        }
        trail.saw(Pgno(3), &interior(&[20, 21, 22, 23]));
        assert_eq!(trail.window(Pgno(20), 99), [20, 21, 22, 23].map(Pgno));
        trail.saw(Pgno(4), &interior(&[30, 31, 32, 33]));
        assert_eq!(trail.window(Pgno(30), 99), [Pgno(30)], "the one before did not come to its end");
    }

    #[test]
    fn pages_that_are_not_there_are_not_fetched() {
        let mut trail = Trail::default();
        trail.saw(Pgno(2), &interior(&[3, 4, 0, 5, 6, 7]));
        trail.saw(Pgno(3), &[0; 512]);
        assert_eq!(trail.window(Pgno(4), 6), [4, 5, 6].map(Pgno), "neither 0, nor one beyond the end");
        trail.saw(Pgno(2), &[0; 512]);
        assert_eq!(trail.window(Pgno(5), 6), [Pgno(5)], "page 2 is no parent any more");
    }
}
