//! The simulator: a primary, replica objects, isolates and clients in a world that loses, doubles, delays and cuts messages, and stops,
//! forgets, prunes, restores and replaces what it likes. Every step is checked against the truth.
//!
//! What runs is what is shipped: the primary's policy (`primary::Primary`), its source, the drivers of followers. Here are only the world around
//! them, commits without SQL, and queries that are stepped page by page.
//!
//! Everything follows from a seed. `cargo test` lives through 10,000; more on request, and any one again, with the trace of its last events:
//!
//! ```text
//! make simulate SEEDS=1000000
//! LITTORAL_SEED=4711 LITTORAL_SEEDS=1 cargo test --package littoral-engine --lib simulation::worlds
//! ```
//!
//! Sizes (bytes of an answer, commits remembered, bytes gathered) are tiny, so that worlds of half a second come to them.
//!
//! **Invariants**
//! 1. What a follower holds equals the primary's, at every txid that it is held for; so does what is on its shelf.
//! 2. A session reads no state before its bookmark, nor misses its own write. No follower says that it is fresher than it is.
//! 3. When faults end, all come to the primary's head, and have all its pages.
//! 4. Bugs planted by hand are found.
//!
//! **Not here:** SQLite, the runtime, how a stack waits for a page.

mod chaos;
mod check;
mod clients;
mod event;
mod link;
mod long_reads;
mod network;
mod node;
mod nodes;
mod past;
mod planted;
mod primary;
mod queries;
mod truth;
mod world;

use network::Stats;
use planted::Bug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use world::World;

/// How long a world goes wrong.
const TROUBLE_MS: u64 = 500;

/// Lives through one seed. The error has all that is needed to see what happened.
fn live(seed: u64) -> Result<Stats, String> {
    live_once(seed, false, None).map_err(|(first, _)| {
        let (found, trace) = live_once(seed, true, None).err().unwrap_or_default();
        let again = format!("LITTORAL_SEED={seed} LITTORAL_SEEDS=1 cargo test --package littoral-engine --lib simulation::worlds");
        let same = if found == first { "" } else { "\nand not again: the simulator is not deterministic!" };
        format!("seed {seed}: {first}{same}\n{}\n{again}", trace.join("\n"))
    })
}

fn live_once(seed: u64, trace: bool, bug: Option<Bug>) -> Result<Stats, (String, Vec<String>)> {
    let mut world = World::new(seed, trace, bug);
    let lived = catch_unwind(AssertUnwindSafe(|| world.run(TROUBLE_MS).and_then(|()| world.heal())));
    let found = match lived {
        Ok(Ok(())) => return Ok(world.net.stats),
        Ok(Err(found)) => found,
        Err(panic) => format!("panic: {:?}", panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())),
    };
    Err((found, world.net.trace.take().map(Vec::from).unwrap_or_default()))
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
#[allow(clippy::disallowed_methods, reason = "many worlds at once, and how long they took")]
fn worlds() {
    let (first, seeds) = (setting("LITTORAL_SEED", 0), setting("LITTORAL_SEEDS", 10_000));
    let next = AtomicU64::new(first);
    let began = std::time::Instant::now();
    let work = || {
        let mut total = Stats::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + seeds {
                return Ok(total);
            }
            match live(seed) {
                Ok(stats) => total += stats,
                Err(found) => {
                    next.store(first + seeds, Ordering::Relaxed);
                    return Err(found);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let done: Vec<Result<Stats, String>> = std::thread::scope(|scope| {
        (0..threads).map(|_| scope.spawn(work)).collect::<Vec<_>>().into_iter().map(|one| one.join().unwrap()).collect()
    });
    let mut total = Stats::default();
    for one in done {
        total += one.unwrap_or_else(|found| panic!("{found}"));
    }
    println!("{seeds} seeds in {:?}: {total:?}", began.elapsed());
}

#[test]
fn a_seed_lives_the_same_life_twice() {
    for seed in 0..20 {
        let lives = [(); 2].map(|()| {
            let mut world = World::new(seed, true, None);
            world.run(TROUBLE_MS).unwrap();
            (world.net.stats, world.net.trace)
        });
        assert_eq!(lives[0], lives[1], "seed {seed}");
    }
}

/// The first seed that finds a bug.
fn finds(bug: Bug) {
    let first = (0..100).find(|seed| live_once(*seed, false, Some(bug)).is_err());
    println!("{bug:?} is found by seed {first:?}");
    assert!(first.is_some(), "{bug:?} is not found");
}

#[test]
fn a_frame_that_is_skipped_is_found() {
    finds(Bug::SkipsAFrame);
}

#[test]
fn a_page_that_is_not_dropped_is_found() {
    finds(Bug::KeepsAPage);
}

#[test]
fn an_answer_one_txid_early_is_found() {
    finds(Bug::AnswersEarly);
}
