//! What goes wrong in the simulated world.
//!
//! **Not here:** messages (`World::send`).

use super::truth::Check;
use super::world::{Event, OBJECTS, World};
use crate::store::{HostSql, INJECTED};
use std::rc::Rc;

impl World {
    pub(super) fn chaos(&mut self) -> Check {
        if self.healed {
            return Ok(());
        }
        self.after(2 * self.weather.chaos_ms, Event::Chaos);
        let (object, node) = (self.rng.usize(1..=OBJECTS), self.rng.usize(1..=self.nodes.len()));
        match self.rng.u32(0..22) {
            0..3 => {
                let other = self.rng.usize(0..node);
                self.apart.insert((other, node));
            }
            3..7 => drop(self.apart.pop_first()),
            7..9 => {
                let down_ms = *self.rng.choice(&[0, 5, 60]).unwrap();
                self.crash(node, down_ms);
            }
            9 => {
                self.crash(object, 3);
                if let Some(disk) = &mut self.node(object).disk {
                    disk.sql = Rc::new(HostSql::in_memory().map_err(|error| error.to_string())?);
                }
            }
            10..14 => self.flush(object)?,
            14..16 => {
                self.note(|_| "the primary forgets some of the past".into());
                self.primary.forget(&mut self.rng);
            }
            16 => {
                self.note(|_| "the primary starts again".into());
                self.primary.restart();
            }
            17 if self.weather.replaced => {
                self.note(|_| "another database has the name".into());
                self.primary.replace(&mut self.rng, self.now_ms);
            }
            18 if self.weather.storage_fails => {
                let operation = self.rng.u64(1..6);
                self.note(|_| format!("the storage of {object} will fail"));
                if let Some(disk) = &self.node(object).disk {
                    disk.fault.fail_at(operation);
                }
            }
            19 if self.weather.storage_fails => self.damage(object)?,
            _ if node > OBJECTS => self.node(node).upstream = object % (OBJECTS + 1),
            _ => {}
        }
        Ok(())
    }

    /// Something that is stored becomes something else.
    fn damage(&mut self, object: usize) -> Check {
        self.note(|_| format!("the storage of {object} is damaged"));
        let sql = match self.rng.u32(0..4) {
            0 => "UPDATE replica SET value = 'nonsense'",
            1 => "UPDATE held SET checksum = zeroblob(7)",
            _ => "UPDATE held SET image = zeroblob(length(image)) WHERE pgno % 3 = 1",
        };
        let disk = self.node(object).disk.as_ref().map(|disk| disk.sql.clone());
        // While it is down there may be no tables yet.
        let _ = disk.map(|sql_of| sql_of.connection().execute(sql, ()));
        Ok(())
    }

    fn flush(&mut self, object: usize) -> Check {
        if !self.node(object).up {
            return Ok(());
        }
        self.touched.insert(object);
        self.note(|_| format!("node {object} writes its shelf"));
        let flushed = self.node(object).driver.follower().borrow().flush();
        if let Err(error) = flushed {
            return if error.to_string().contains(INJECTED) { Ok(()) } else { Err(error.to_string()) };
        }
        let Some(disk) = &self.node(object).disk else { return Ok(()) };
        let bytes = disk.sql.connection().query_row("SELECT coalesce(sum(length(image)), 0) FROM held", (), |row| row.get::<_, i64>(0));
        let bytes = bytes.map_err(|error| error.to_string())?;
        if bytes as usize > disk.budget { Err(format!("{bytes} bytes on a shelf for {}", disk.budget)) } else { Ok(()) }
    }
}
