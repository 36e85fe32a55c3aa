//! What goes wrong in the simulated world.
//!
//! **Not here:** messages (`network`).

use super::event::{Event, OBJECTS};
use super::network::Network;
use super::nodes::Nodes;
use super::primary::Primary;
use super::queries::Queries;
use super::truth::Check;
use crate::store::{HostSql, INJECTED};
use std::rc::Rc;

/// Something goes wrong, and again later.
pub(super) fn chaos(net: &mut Network, primary: &mut Primary, nodes: &mut Nodes, queries: &mut Queries) -> Check {
    if net.is_healed() {
        return Ok(());
    }
    net.after(2 * net.weather.chaos_ms, Event::Chaos);
    let (object, node) = (net.rng.usize(1..=OBJECTS), net.rng.usize(nodes.numbers()));
    match net.rng.u32(0..22) {
        0..3 => {
            let other = net.rng.usize(0..node);
            net.apart.insert((other, node));
        }
        3..7 => drop(net.apart.pop_first()),
        7..9 => {
            let down_ms = *net.rng.choice(&[0, 5, 60]).unwrap();
            queries.forget(&nodes.crash(net, node, down_ms));
        }
        9 => {
            queries.forget(&nodes.crash(net, object, 3));
            if let Some(disk) = &mut nodes.node_mut(object).disk {
                disk.sql = Rc::new(HostSql::in_memory().map_err(|error| error.to_string())?);
            }
        }
        10..14 => flush(net, nodes, object)?,
        14..16 => {
            net.note(|| "the primary forgets some of the past".into());
            primary.forget(&mut net.rng);
        }
        16 => {
            net.note(|| "the primary starts again".into());
            primary.restart();
        }
        17 if net.weather.replaced => {
            net.note(|| "another database has the name".into());
            let now_ms = net.now_ms();
            primary.replace(&mut net.rng, now_ms);
        }
        18 if net.weather.storage_fails => {
            let operation = net.rng.u64(1..6);
            net.note(|| format!("the storage of {object} will fail"));
            if let Some(disk) = &nodes.node(object).disk {
                disk.fault.fail_at(operation);
            }
        }
        19 if net.weather.storage_fails => damage(net, nodes, object),
        _ if node > OBJECTS => nodes.node_mut(node).upstream = object % (OBJECTS + 1),
        _ => {}
    }
    Ok(())
}

/// Something that is stored becomes something else.
fn damage(net: &mut Network, nodes: &Nodes, object: usize) {
    net.note(|| format!("the storage of {object} is damaged"));
    let sql = match net.rng.u32(0..4) {
        0 => "UPDATE replica SET value = 'nonsense'",
        1 => "UPDATE held SET checksum = zeroblob(7)",
        _ => "UPDATE held SET image = zeroblob(length(image)) WHERE pgno % 3 = 1",
    };
    // While it is down there may be no tables yet.
    let _ = nodes.node(object).disk.as_ref().map(|disk| disk.sql.connection().execute(sql, ()));
}

fn flush(net: &mut Network, nodes: &mut Nodes, object: usize) -> Check {
    if !nodes.node(object).up {
        return Ok(());
    }
    nodes.touch(object);
    net.note(|| format!("node {object} writes its shelf"));
    let node = nodes.node(object);
    if let Err(error) = node.driver.follower().borrow().flush() {
        return if error.to_string().contains(INJECTED) { Ok(()) } else { Err(error.to_string()) };
    }
    let Some(disk) = &node.disk else { return Ok(()) };
    let bytes = disk.sql.connection().query_row("SELECT coalesce(sum(length(image)), 0) FROM held", (), |row| row.get::<_, i64>(0));
    let bytes = bytes.map_err(|error| error.to_string())?;
    if bytes as usize > disk.budget { Err(format!("{bytes} bytes on a shelf for {}", disk.budget)) } else { Ok(()) }
}
