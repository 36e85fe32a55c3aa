//! What the primary decides, event by event.

use super::*;
use littoral_protocol::{Checksum, Txid};

/// From 1,000 on the number is also the time.
impl Waits for u32 {
    fn until_ms(&self) -> Option<u64> {
        (*self >= 1_000).then(|| u64::from(*self))
    }
}

fn at(txid: u64) -> Position {
    Position { txid: Txid(txid), checksum: Checksum(txid) }
}

fn wrote(txid: u64) -> Event<u32> {
    Event::Ran { wrote: Some(at(txid)) }
}

/// A primary that minds its alarm already.
fn primary() -> Primary<u32> {
    let mut primary = Primary::default();
    primary.upkeep.wrote::<u32>();
    primary
}

#[test]
fn requests_that_wait_for_a_write_run_together_in_order() {
    let mut primary = primary();
    assert_eq!(primary.on(Event::Arrived(1), 0), [Action::Run(vec![1])]);
    assert_eq!(primary.on(wrote(1), 0), [Action::Sync]);
    for request in 2..200 {
        assert_eq!(primary.on(Event::Arrived(request), 0), []);
    }
    assert_eq!(primary.on(Event::Synced, 0), [Action::Run((2..130).collect())]);
    assert_eq!(primary.on(Event::Ran { wrote: None }, 0), [Action::Run((130..200).collect())], "nobody waits for a read");
    assert_eq!(primary.on(wrote(2), 0), [Action::Sync]);
    assert_eq!(primary.on(Event::Synced, 0), []);
    assert_eq!(primary.on(Event::Arrived(200), 0), [Action::Run(vec![200])]);
}

#[test]
fn so_many_long_reads_are_under_way_and_the_next_ones_wait_in_order() {
    let mut primary = primary();
    for request in 1..=8 {
        assert_eq!(primary.on(Event::LongRead(request), 0), [Action::Read(request)]);
    }
    assert_eq!(primary.on(Event::LongRead(9), 0), []);
    assert_eq!(primary.on(Event::LongRead(10), 0), []);
    assert_eq!(primary.on(Event::Arrived(11), 0), [Action::Run(vec![11])], "others do not wait for them");
    assert_eq!(primary.on(Event::ReadEnded, 0), [Action::Read(9)]);
    assert_eq!(primary.on(Event::ReadEnded, 0), [Action::Read(10)]);
    for _ in 0..8 {
        assert_eq!(primary.on(Event::ReadEnded, 0), []);
    }
    assert_eq!(primary.on(Event::LongRead(12), 0), [Action::Read(12)]);
}

/// A primary whose write connection a long write has: request 1.
fn beside_a_long_write() -> Primary<u32> {
    let mut primary = primary();
    assert_eq!(primary.on(Event::Arrived(1), 0), [Action::Run(vec![1])]);
    assert_eq!(primary.on(Event::LongWrite(1), 0), []);
    assert_eq!(primary.on(Event::Ran { wrote: None }, 0), [Action::Write(1)]);
    primary
}

#[test]
fn beside_a_long_write_others_run_and_those_that_write_wait_in_order() {
    let mut primary = beside_a_long_write();
    for request in 2..5 {
        assert_eq!(primary.on(Event::Arrived(request), 0), [Action::Run(vec![request])], "it may only read");
        assert_eq!(primary.on(Event::HeldUp(request), 0), []);
        assert_eq!(primary.on(Event::Ran { wrote: None }, 0), []);
    }
    assert_eq!(primary.on(Event::Written { wrote: Some(at(1)) }, 0), [Action::Sync]);
    assert_eq!(primary.on(Event::Arrived(5), 0), []);
    assert_eq!(primary.on(Event::Synced, 0), [Action::Run(vec![2, 3, 4, 5])]);
    assert_eq!(primary.on(Event::LongWrite(3), 0), []);
    assert_eq!(primary.on(Event::LongWrite(4), 0), []);
    assert_eq!(primary.on(wrote(2), 0), [Action::Sync], "of the others");
    assert_eq!(primary.on(Event::Arrived(6), 0), []);
    assert_eq!(primary.on(Event::Synced, 0), [Action::Write(3), Action::Run(vec![6])]);
    assert_eq!(primary.on(Event::HeldUp(6), 0), []);
    assert_eq!(primary.on(Event::Ran { wrote: None }, 0), []);
    assert_eq!(primary.on(Event::Written { wrote: None }, 0), [Action::Write(4), Action::Run(vec![6])], "what fails is the end, too");
}

#[test]
fn whoever_waits_for_others_is_told_in_time_that_it_is_too_late() {
    let mut primary = beside_a_long_write();
    for (request, held_up) in [(2_000, true), (2_001, false), (2, true), (3_000, true), (3_001, false)] {
        assert_eq!(primary.on(Event::Arrived(request), 900), [Action::Run(vec![request])]);
        let event = if held_up { Event::HeldUp(request) } else { Event::LongWrite(request) };
        let wake = request.until_ms().map(|until_ms| Action::Wake { in_ms: until_ms - 900 });
        assert_eq!(primary.on(event, 900), Vec::from_iter(wake));
        assert_eq!(primary.on(Event::Ran { wrote: None }, 900), []);
    }
    for request in 3..=10 {
        assert_eq!(primary.on(Event::LongRead(request), 900), [Action::Read(request)]);
    }
    assert_eq!(primary.on(Event::LongRead(2_002), 900), [Action::Wake { in_ms: 1_102 }]);
    assert_eq!(primary.on(Event::Woken, 1_999), []);
    assert_eq!(primary.on(Event::Woken, 2_002), [2_001, 2_000, 2_002].map(Action::Late));
    assert_eq!(primary.on(Event::Woken, 2_999), [], "once");
    assert_eq!(primary.on(Event::ReadEnded, 2_999), []);
    assert_eq!(primary.on(Event::Written { wrote: None }, 2_999), [Action::Write(3_001), Action::Run(vec![2, 3_000])]);
}

#[test]
fn a_follower_is_told_from_where_it_is_one_message_at_a_time() {
    let mut primary = primary();
    let region = Region::Weur;
    let tell = |after| Action::Tell { regions: vec![region], after: at(after) };
    assert_eq!(primary.on(wrote(1), 1_000), [Action::Sync], "nobody is there");
    primary.on(Event::Asked { region, reaches: None }, 1_000);
    assert_eq!(primary.on(wrote(2), 1_000), [Action::Sync], "where it is nobody knows");
    primary.on(Event::Asked { region, reaches: Some(at(2)) }, 1_000);
    assert_eq!(primary.on(wrote(3), 1_000), [Action::Sync, tell(2)]);
    assert_eq!(primary.on(wrote(4), 1_010), [Action::Sync], "a message is under way");
    assert_eq!(primary.on(Event::Told { region, position: Some(at(3)) }, 1_020), [Action::Wake { in_ms: 30 }]);
    assert_eq!(primary.on(wrote(5), 1_030), [Action::Sync], "the wake-up will see to it");
    assert_eq!(primary.on(Event::Woken, 1_050), [tell(3)]);
    assert_eq!(primary.on(Event::Told { region, position: Some(at(5)) }, 1_200), [], "it is at the head");
    assert_eq!(primary.on(wrote(6), 1_300), [Action::Sync, tell(5)]);
    assert_eq!(primary.on(Event::Told { region, position: None }, 1_400), []);
    assert_eq!(primary.on(wrote(7), 1_500), [Action::Sync], "it has to ask");
}

#[test]
fn news_goes_out_under_steady_writes_for_which_no_wake_up_comes() {
    let mut primary = primary();
    let regions = [Region::Weur, Region::Enam];
    for region in regions {
        primary.on(Event::Asked { region, reaches: Some(at(0)) }, 0);
    }
    let mut told = Vec::new();
    for txid in 1..=1_000 {
        for action in primary.on(wrote(txid), txid) {
            let Action::Tell { regions, .. } = action else { continue };
            told.push(txid);
            for region in regions {
                primary.on(Event::Told { region, position: Some(at(txid)) }, txid);
            }
        }
    }
    assert_eq!(told, [vec![1], (51..=1_000).step_by(50).collect()].concat());
}

#[test]
fn followers_at_one_position_share_their_news() {
    let mut primary = primary();
    for (region, txid) in [(Region::Weur, 1), (Region::Enam, 1), (Region::Oc, 2)] {
        primary.on(Event::Asked { region, reaches: Some(at(txid)) }, 0);
    }
    let tell = |regions: &[Region], after| Action::Tell { regions: regions.to_vec(), after: at(after) };
    assert_eq!(primary.on(wrote(3), 0), [Action::Sync, tell(&[Region::Enam, Region::Weur], 1), tell(&[Region::Oc], 2)]);
}

#[test]
fn a_lease_ends_unless_the_follower_asks_again() {
    let mut primary = primary();
    let (old, new) = (Region::Weur, Region::Enam);
    primary.on(Event::Asked { region: old, reaches: Some(at(1)) }, 0);
    primary.on(Event::Asked { region: new, reaches: Some(at(1)) }, 0);
    primary.on(Event::Asked { region: new, reaches: None }, 20_000);
    assert_eq!(primary.on(wrote(2), 40_000), [Action::Sync, Action::Tell { regions: vec![new], after: at(1) }]);
}

#[test]
fn the_alarm_is_looked_for_once_and_set_while_something_is_due() {
    let mut primary = Primary::<u32>::default();
    assert_eq!(primary.on(wrote(1), 0), [Action::Sync, Action::LookForAlarm]);
    assert_eq!(primary.on(wrote(2), 0), [Action::Sync]);
    assert_eq!(primary.on(Event::AlarmIs(None), 5), [Action::Maintain { synced: false }]);
    assert_eq!(primary.on(Event::Maintained { due_ms: Some(3) }, 6), [Action::Maintain { synced: true }]);
    assert_eq!(primary.on(Event::Maintained { due_ms: Some(3) }, 20_000), [Action::SetAlarm { at_ms: 3 }], "it took long enough");
    assert_eq!(primary.on(Event::Alarm, 20_001), [Action::Maintain { synced: false }]);
    assert_eq!(primary.on(Event::Maintained { due_ms: None }, 20_002), []);
    assert_eq!(primary.on(wrote(3), 30_000), [Action::Sync, Action::LookForAlarm]);
    assert_eq!(primary.on(Event::AlarmIs(Some(40_000)), 30_001), [], "it will go off");
    assert_eq!(primary.on(Event::Alarm, 40_000), [Action::Maintain { synced: false }]);
    assert_eq!(primary.on(Event::NotMaintained, 40_000), []);
    assert_eq!(primary.on(wrote(4), 40_001), [Action::Sync, Action::LookForAlarm]);
}

#[test]
fn what_was_discarded_is_swept_though_nothing_was_written() {
    let mut primary = Primary::<u32>::default();
    assert_eq!(primary.on(Event::Ran { wrote: None }, 0), []);
    assert_eq!(primary.on(Event::Discarded, 0), [Action::LookForAlarm]);
    assert_eq!(primary.on(Event::Discarded, 1), [], "it is minded");
    assert_eq!(primary.on(Event::AlarmIs(None), 5), [Action::Maintain { synced: false }]);
}

#[test]
fn events_of_a_time_before_a_restart_change_nothing() {
    let mut primary = primary();
    let region = Region::Oc;
    assert_eq!(primary.on(Event::Synced, 0), []);
    assert_eq!(primary.on(Event::ReadEnded, 0), []);
    assert_eq!(primary.on(Event::Woken, 0), []);
    assert_eq!(primary.on(Event::Told { region, position: Some(at(9)) }, 0), []);
    assert_eq!(primary.on(Event::Arrived(1), 0), [Action::Run(vec![1])]);
}
