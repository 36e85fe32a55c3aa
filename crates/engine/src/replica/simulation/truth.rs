//! The simulator's memory of everything that ever was: each page of each state of each database that had the name.
//!
//! **Invariant:** a [`Mark`] is greater than another exactly when it came later in the life of the name.
//!
//! **Not here:** what the primary still keeps of it (`primary`).

use littoral_protocol::{Checksum, DatabaseId, Pgno, State, Txid};
use std::rc::Rc;

/// What a check found, in words.
pub(super) type Check = Result<(), String>;

/// Which database of those that had the name, and its txid.
pub(super) type Mark = (usize, u64);

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) image: Rc<[u8]>,
    pub(super) checksum: Checksum,
}

impl Page {
    pub(super) fn new(pgno: u32, image: Vec<u8>) -> Page {
        Page { checksum: Checksum::of_page(Pgno(pgno), &image), image: image.into() }
    }
}

pub(super) struct Moment {
    pub(super) state: State,
    pub(super) pages: Vec<Page>,
}

#[derive(Default)]
pub(super) struct Truth {
    databases: Vec<(DatabaseId, Vec<Moment>)>,
    /// When each place became the head.
    heads: Vec<(u64, Mark)>,
}

impl Truth {
    /// A new database takes the name.
    pub(super) fn begin(&mut self, database: DatabaseId, now_ms: u64) {
        self.databases.push((database, vec![Moment { state: State::EMPTY, pages: Vec::new() }]));
        self.heads.push((now_ms, (self.databases.len() - 1, 0)));
    }

    pub(super) fn commit(&mut self, moment: Moment, now_ms: u64) {
        let last = self.databases.len() - 1;
        self.heads.push((now_ms, (last, moment.state.txid.0)));
        self.databases[last].1.push(moment);
    }

    pub(super) fn head(&self) -> Mark {
        self.heads.last().map_or((0, 0), |(_, place)| *place)
    }

    /// The head after everything that happened before `time_ms`.
    pub(super) fn head_before(&self, time_ms: u64) -> Mark {
        let later = self.heads.partition_point(|(at, _)| *at < time_ms);
        self.heads[..later].last().map_or((0, 0), |(_, place)| *place)
    }

    pub(super) fn at(&self, (database, txid): Mark) -> &Moment {
        &self.databases[database].1[txid as usize]
    }

    /// The newest state before `time_ms`.
    pub(super) fn before(&self, database: usize, time_ms: u64) -> Txid {
        let later = self.databases[database].1.partition_point(|moment| moment.state.time_ms < time_ms);
        Txid(later.saturating_sub(1) as u64)
    }

    pub(super) fn id(&self, database: usize) -> DatabaseId {
        self.databases[database].0
    }

    pub(super) fn place(&self, database: DatabaseId, txid: Txid) -> Result<Mark, String> {
        let known = self.databases.iter().position(|(id, _)| *id == database);
        known
            .filter(|index| txid.0 < self.databases[*index].1.len() as u64)
            .map(|index| (index, txid.0))
            .ok_or_else(|| format!("there never was txid {txid} in a database {database}"))
    }

    /// Where a state belongs, all of whose fields have to be right.
    pub(super) fn place_of(&self, database: DatabaseId, state: &State) -> Result<Mark, String> {
        let place = self.place(database, state.txid)?;
        let real = self.at(place).state;
        if real == *state { Ok(place) } else { Err(format!("the state at {place:?} is {real:?}, not {state:?}")) }
    }

    pub(super) fn check_page(&self, database: DatabaseId, pgno: Pgno, at: Txid, image: &[u8]) -> Check {
        let place = self.place(database, at)?;
        let moment = self.at(place);
        match moment.pages.get(pgno.0 as usize - 1) {
            Some(page) if *page.image == *image => Ok(()),
            Some(page) => Err(format!(
                "page {pgno} at {place:?} is written by {:?}, not {:?} ({} bytes)",
                writer_of(&page.image),
                writer_of(image),
                image.len()
            )),
            None => Err(format!("page {pgno} at {place:?} is beyond the {} pages", moment.pages.len())),
        }
    }
}

/// What the primary signs each page with: the commit that wrote it.
pub(super) fn writer_of(image: &[u8]) -> u64 {
    image.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
