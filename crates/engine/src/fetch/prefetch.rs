//! What to fetch with a page that is missing: what a scan would want next.
//!
//! A connection leaves a trail: the interior pages that it read last, and the pages themselves. A missing page that follows its elder sibling
//! under one of those parents is part of a scan, and so is one that follows the page before it in the file (a long value's overflow pages).
//! A scan is given a window of what comes next, and a larger one each time that it runs out.
//!
//! **Not here:** rows that an index leads to (`lookups`), fetching (`reader`). A wrong guess costs bytes only.

use super::btree;
use super::lookups::{Held, IndexPlace, Lookups};
use littoral_protocol::Pgno;
use std::collections::VecDeque;
use std::rc::Rc;

/// Interior pages remembered: those on the way to a leaf, of a few tables and indexes at once.
const PARENTS: usize = 8;
/// Pages remembered in the order in which they were read.
const RECENT: usize = 8;
/// The windows of a scan, one after the other.
const WINDOWS: [usize; 3] = [1, 8, 64];

/// The way that a connection took. What it means is worked out at a miss only: a page that is there costs next to nothing.
#[derive(Default)]
pub(super) struct Trail {
    /// The one read last stands first.
    parents: VecDeque<Parent>,
    /// The one read last stands first.
    recent: VecDeque<Pgno>,
    /// Steps to the next page of the file, in a row.
    run: usize,
    /// The leaf of an index that was read last.
    index_leaf: Option<(Pgno, Rc<[u8]>)>,
    lookups: Option<Lookups>,
    /// Parents that are remembered for as long as lookups go on, although SQLite does not read them again: of the index, and of the table.
    kept: [Option<Pgno>; 2],
}

struct Parent {
    pgno: Pgno,
    image: Rc<[u8]>,
    window: usize,
    /// The child after those that were fetched last.
    next: usize,
}

impl Trail {
    /// A page was read.
    pub(super) fn saw(&mut self, pgno: Pgno, image: &Rc<[u8]>) {
        let follows = self.recent.front() == Some(&Pgno(pgno.0.saturating_sub(1)));
        self.run = if follows { self.run + 1 } else { 0 };
        let known = self.parents.iter().position(|parent| parent.pgno == pgno);
        let (window, next) = known.and_then(|at| self.parents.remove(at)).map_or((0, 0), |parent| (parent.window, parent.next));
        if btree::is_interior(pgno, image) {
            let oldest = self.parents.iter().rposition(|parent| !self.kept.contains(&Some(parent.pgno)));
            if let Some(oldest) = oldest.filter(|_| self.parents.len() >= PARENTS) {
                self.parents.remove(oldest);
            }
            self.parents.push_front(Parent { pgno, image: image.clone(), window, next });
        } else if btree::is_leaf_of_index(image) {
            self.index_leaf = Some((pgno, image.clone()));
        }
        self.recent.truncate(RECENT - 1);
        self.recent.push_front(pgno);
    }

    /// The pages to fetch when `pgno` is missing: itself first, and no page that is not there. The trail may be that of another state.
    pub(super) fn window(&mut self, pgno: Pgno, page_count: u32, held: &dyn Held) -> Vec<Pgno> {
        let families = self.parents.iter().map(|parent| btree::children(parent.pgno, &parent.image)).collect::<Vec<_>>();
        let place = families.iter().enumerate().find_map(|(at, children)| Some((at, children.iter().position(|child| *child == pgno)?)));
        if let Some(mut pages) = self.looked_up(pgno, &families, place.map(|(at, _)| at), held) {
            pages.retain(|page| page.0 <= page_count);
            return pages;
        }
        if let Some((at, index)) = place {
            let children = &families[at];
            let before = self.scanned_with(&families, at, index);
            let window = before.map_or(0, |window| (window + 1).min(WINDOWS.len() - 1));
            let end = (index + WINDOWS[window]).min(children.len());
            (self.parents[at].window, self.parents[at].next) = (window, end);
            return children[index..end].iter().copied().filter(|child| child.0 <= page_count).collect();
        }
        let follows = self.recent.front().is_some_and(|last| last.0 + 1 == pgno.0);
        let window = if follows { WINDOWS[self.run.min(WINDOWS.len() - 1)] as u32 } else { 1 };
        (pgno.0..=page_count.min(pgno.0 + window - 1)).map(Pgno).collect()
    }

    /// The pages to fetch if this one is on the way to a row that an index led to in the course of a scan. `parent`: where its parent is among
    /// the parents; without it, that may be any page below the table's that is kept.
    fn looked_up(&mut self, missing: Pgno, families: &[Vec<Pgno>], parent: Option<usize>, held: &dyn Held) -> Option<Vec<Pgno>> {
        let (leaf, image) = self.index_leaf.clone()?;
        let above = |child: Pgno| families.iter().position(|children| children.contains(&child));
        let is_of_table = |at: usize| btree::is_interior_of_table(self.parents[at].pgno, &self.parents[at].image);
        let kept = || self.parents.iter().position(|parent| Some(parent.pgno) == self.kept[1]);
        let mut at = parent.or_else(kept)?;
        // No table is deeper than there are parents remembered.
        for _ in 0..self.parents.len() {
            let Some(higher) = above(self.parents[at].pgno).filter(|higher| is_of_table(*higher)) else { break };
            at = higher;
        }
        let index = above(leaf).map(|at| (self.parents[at].pgno, self.parents[at].image.clone()));
        let place = IndexPlace { leaf: (leaf, &image), parent: index.as_ref().map(|(pgno, image)| (*pgno, &**image)) };
        let top = self.parents.get(at).filter(|_| is_of_table(at)).map(|top| (top.pgno, top.image.clone()))?;
        let (lookups, pages) = Lookups::at_miss(self.lookups, missing, &place, (top.0, &top.1), held)?;
        self.lookups = Some(lookups);
        self.kept = [index.map(|(pgno, _)| pgno), Some(top.0)];
        (pages.len() > 1).then_some(pages)
    }

    /// The window that a scan had which comes to a child now: its elder sibling was read last of them all, or fetched last (an index is read
    /// between the rows it leads to); or the last child of another parent was, and this is the first of the next. `None`: it is no scan.
    fn scanned_with(&self, families: &[Vec<Pgno>], at: usize, index: usize) -> Option<usize> {
        let last_of = |children: &[Pgno]| self.recent.iter().copied().find(|seen| children.contains(seen));
        if let Some(elder) = index.checked_sub(1) {
            let parent = &self.parents[at];
            let in_order = parent.next == index || last_of(&families[at]) == Some(families[at][elder]);
            return in_order.then_some(parent.window);
        }
        let leaf = self.recent.iter().copied().find(|seen| self.parents.iter().all(|parent| parent.pgno != *seen))?;
        let other = families.iter().position(|children| children.last() == Some(&leaf)).filter(|other| *other != at)?;
        Some(self.parents[other].window).filter(|window| *window > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An interior page of a table with these children.
    fn interior(children: &[u8]) -> Rc<[u8]> {
        let (last, cells) = children.split_last().unwrap();
        let mut image = vec![0; 512];
        (image[0], image[4], image[11]) = (5, cells.len() as u8, *last);
        for (cell, child) in cells.iter().enumerate() {
            image[13 + 2 * cell] = 100 + 4 * cell as u8;
            image[103 + 4 * cell] = *child;
        }
        image.into()
    }

    fn leaf() -> Rc<[u8]> {
        [0; 512].into()
    }

    struct Nothing;

    impl Held for Nothing {
        fn page(&self, _: Pgno) -> Option<Rc<[u8]>> {
            None
        }

        fn has(&self, _: Pgno) -> bool {
            false
        }
    }

    #[test]
    fn a_scan_keeps_its_window_under_the_next_parent() {
        let mut trail = Trail::default();
        trail.saw(Pgno(2), &interior(&[10, 11, 12]));
        for pgno in 10..=12 {
            trail.window(Pgno(pgno), 99, &Nothing);
            trail.saw(Pgno(pgno), &leaf());
        }
        trail.saw(Pgno(3), &interior(&[20, 21, 22, 23]));
        assert_eq!(trail.window(Pgno(20), 99, &Nothing), [20, 21, 22, 23].map(Pgno));
        trail.saw(Pgno(20), &leaf());
        trail.saw(Pgno(4), &interior(&[30, 31, 32, 33]));
        assert_eq!(trail.window(Pgno(30), 99, &Nothing), [Pgno(30)], "the one before did not come to its end");
    }

    #[test]
    fn pages_that_are_not_there_are_not_fetched() {
        let mut trail = Trail::default();
        trail.saw(Pgno(2), &interior(&[3, 4, 0, 5, 6, 7]));
        trail.saw(Pgno(3), &leaf());
        assert_eq!(trail.window(Pgno(4), 6, &Nothing), [4, 5, 6].map(Pgno), "neither 0, nor one beyond the end");
        trail.saw(Pgno(2), &leaf());
        assert_eq!(trail.window(Pgno(5), 6, &Nothing), [Pgno(5)], "page 2 is no parent any more");
    }
}
