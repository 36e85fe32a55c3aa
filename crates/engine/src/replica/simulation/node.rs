//! Whoever has a follower: a replica object, or one of those that share the memory of an isolate.
//!
//! **Not here:** what they ask and answer (`nodes`).

use super::event::{OBJECTS, PRIMARY};
use super::truth::{Check, Mark};
use crate::fetch::FetchingReader;
use crate::replica::{Driver, Follower, HeldPages, PageCache, Sizes};
use crate::store::{Fault, FaultySql, HostSql};
use fastrand::Rng;
use std::cell::RefCell;
use std::rc::Rc;

/// A process: one page cache.
pub(super) struct Host {
    pub(super) cache: Rc<RefCell<PageCache>>,
    pub(super) budget: usize,
}

impl Host {
    pub(super) fn new(rng: &mut Rng) -> Host {
        let budget = *rng.choice(&[2_000, 6_000, 20_000, 1 << 20]).unwrap();
        Host { cache: Rc::new(RefCell::new(PageCache::new(budget))), budget }
    }

    /// Its memory is lost.
    pub(super) fn forget(&mut self) {
        self.cache = Rc::new(RefCell::new(PageCache::new(self.budget)));
    }
}

/// Storage that outlives the process.
pub(super) struct Disk {
    pub(super) sql: Rc<HostSql>,
    pub(super) fault: Fault,
    pub(super) budget: usize,
}

pub(super) struct Node {
    pub(super) driver: Driver,
    sizes: Sizes,
    pub(super) readers: Vec<Rc<FetchingReader>>,
    pub(super) host: usize,
    pub(super) boot: u64,
    pub(super) up: bool,
    pub(super) upstream: usize,
    pub(super) disk: Option<Disk>,
    /// The newest position since it started.
    pub(super) reached: Mark,
    /// The newest write that went through it since it started.
    pub(super) passed_on: Option<Mark>,
    /// How far its clock is ahead: nobody's clock is right.
    pub(super) clock_ms: u64,
}

impl Node {
    pub(super) fn new(number: usize, rng: &mut Rng, hosts: &[Host]) -> Node {
        let is_object = number <= OBJECTS;
        let host = if is_object { number - 1 } else { OBJECTS + number % 2 };
        let disk = is_object.then(|| Disk {
            sql: Rc::new(HostSql::in_memory().unwrap()),
            fault: Fault::default(),
            budget: *rng.choice(&[1_000, 4_000, 1 << 20]).unwrap(),
        });
        let upstream = if is_object { PRIMARY } else { rng.usize(0..=OBJECTS) };
        let sizes = Sizes { pulled_bytes: *rng.choice(&[800, 1 << 20]).unwrap(), ..Sizes::TINY };
        let mut node = Node {
            driver: drive(Follower::new(hosts[host].cache.clone())),
            sizes,
            readers: Vec::new(),
            host,
            boot: 0,
            up: true,
            upstream,
            disk,
            reached: (0, 0),
            passed_on: None,
            clock_ms: rng.u64(0..5_000),
        };
        node.begin(&hosts[host]).unwrap();
        node
    }

    /// Begins with nothing but what is on the disk.
    pub(super) fn begin(&mut self, host: &Host) -> Check {
        let cache = host.cache.clone();
        let follower = match &self.disk {
            None => Follower::new(cache).with_sizes(self.sizes),
            Some(disk) => {
                disk.fault.clear();
                let shelf = HeldPages::open(FaultySql::new(disk.sql.clone(), disk.fault.clone()), disk.budget);
                let shelf = shelf.map_err(|error| error.to_string())?.with_sizes(self.sizes);
                Follower::with_shelf(cache, Box::new(shelf)).with_sizes(self.sizes)
            }
        };
        self.driver = drive(follower);
        (self.reached, self.passed_on) = ((0, 0), None);
        self.readers = (0..3).map(|_| Rc::new(FetchingReader::new(self.driver.follower().clone()))).collect();
        Ok(())
    }
}

/// One that pulls at every read, and does not tell of an age over 100 ms without asking.
fn drive(follower: Follower) -> Driver {
    Driver::new(Rc::new(RefCell::new(follower)), 0, Some(100))
}
