//! Bugs planted by hand, which the simulator has to find. They come from outside: what a node holds is changed after it has gone on, or a client
//! hands in an older bookmark than it has.

use crate::replica::{Follower, Version};
use littoral_protocol::{Pgno, Txid};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// A page that came with a commit is as it was before.
    SkipsAFrame,
    /// A page that a commit without images changed is not dropped.
    KeepsAPage,
    /// A session is answered from a state that is one commit short of its bookmark.
    AnswersEarly,
}

/// What a node held.
pub(super) struct HeldBefore {
    bug: Bug,
    at: Txid,
    versions: Vec<(Pgno, Version)>,
}

impl HeldBefore {
    /// What a node holds before something happens to it, if that is to be changed.
    pub(super) fn of(follower: &Follower, bug: Option<Bug>) -> Option<HeldBefore> {
        let bug = bug.filter(|bug| *bug != Bug::AnswersEarly)?;
        Some(HeldBefore { bug, at: follower.txid(), versions: follower.versions() })
    }

    /// Puts one page back that commits have changed since.
    pub(super) fn put_back(self, follower: &mut Follower) {
        if follower.txid() <= self.at {
            return;
        }
        let now = follower.versions();
        for (pgno, old) in self.versions.into_iter().filter(|(_, version)| version.until.is_none()) {
            let newest = now.iter().find(|(other, version)| *other == pgno && version.until.is_none());
            match (self.bug, newest) {
                (Bug::SkipsAFrame, Some((_, new))) if new.since > self.at => {
                    return follower.plant(pgno, Version { image: old.image, checksum: old.checksum, ..new.clone() });
                }
                (Bug::KeepsAPage, None) => return follower.plant(pgno, old),
                _ => {}
            }
        }
    }
}
