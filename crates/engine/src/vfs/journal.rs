//! SQLite's rollback journal of the running transaction, without the images of pages.
//!
//! Before SQLite changes a page for the first time it appends the page, as its cache has it, to the journal
//! (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>). That serves two ends here:
//! - **What is about to be changed was read as it was stored.** The image is compared with the checksum of the page in the base state. SQLite's
//!   cache is ordinary memory: what a stray write has damaged there would otherwise be stored with a checksum that fits.
//! - **The image need not be kept**: it is the base's, and is read there when SQLite rolls back.
//!
//! **Invariant:** bytes that are read are those that were written.
//!
//! **Not here:** the statement journal, which SQLite keeps in its own memory (`temp_store = MEMORY`); the journal of a reader: there is none.

use littoral_protocol::Pgno;

/// The journal's file.
#[derive(Default)]
pub(super) struct Journal {
    /// Everything that is not an image, in order.
    bytes: Vec<u8>,
    /// The images, in order.
    images: Vec<Image>,
    page_bytes: usize,
}

struct Image {
    pgno: Pgno,
    /// The byte of the file at which it begins.
    at: u64,
}

impl Journal {
    /// The length of the file, in bytes.
    pub(super) fn size(&self) -> u64 {
        (self.bytes.len() + self.images.len() * self.page_bytes) as u64
    }

    /// The page whose image a write at the end of the file is: its number was written just before. A header, at the beginning, is none.
    pub(super) fn page_of(&self, offset: u64, data: &[u8], page_bytes: usize) -> Option<Pgno> {
        let number = self.bytes.last_chunk().filter(|_| offset == self.size() && data.len() == page_bytes)?;
        Some(Pgno(u32::from_be_bytes(*number)))
    }

    /// Appends an image that is the base's.
    pub(super) fn push_image(&mut self, pgno: Pgno, page_bytes: usize) {
        self.page_bytes = page_bytes;
        self.images.push(Image { pgno, at: self.size() });
    }

    /// Writes other bytes, which must touch no image: a header, a number, a checksum. False: they would.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        let Some(before) = self.images_before(offset, offset + data.len() as u64) else { return false };
        let begin = offset as usize - before * self.page_bytes;
        let end = begin + data.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[begin..end].copy_from_slice(data);
        true
    }

    /// Reads at `offset`. `original` reads a page of the base state. Returns how many bytes the file has there; the rest is zeroed.
    pub(super) fn read<E>(
        &self,
        offset: u64,
        buffer: &mut [u8],
        mut original: impl FnMut(Pgno, &mut [u8]) -> Result<(), E>,
    ) -> Result<usize, E> {
        let available = self.size().saturating_sub(offset).min(buffer.len() as u64) as usize;
        buffer[available..].fill(0);
        let mut done = 0;
        while done < available {
            let at = offset + done as u64;
            let rest = &mut buffer[done..available];
            let before = self.images.partition_point(|image| image.at <= at);
            let image = before.checked_sub(1).map(|index| &self.images[index]);
            done += match image.map(|image| (image.pgno, (at - image.at) as usize)).filter(|(_, from)| *from < self.page_bytes) {
                Some((pgno, 0)) if rest.len() >= self.page_bytes => {
                    original(pgno, &mut rest[..self.page_bytes])?;
                    self.page_bytes
                }
                // SQLite looks for another name at the journal's end.
                Some((pgno, from)) => {
                    let mut whole = vec![0; self.page_bytes];
                    original(pgno, &mut whole)?;
                    copy(&whole[from..], rest)
                }
                None => {
                    let end = self.images.get(before).map_or(self.bytes.len(), |next| next.at as usize - before * self.page_bytes);
                    copy(&self.bytes[at as usize - before * self.page_bytes..end], rest)
                }
            };
        }
        Ok(available)
    }

    /// Ends the transaction, or cuts what comes after `size`.
    pub(super) fn truncate(&mut self, size: u64) {
        if size == 0 {
            *self = Journal::default();
        } else if size < self.size() {
            self.images.truncate(self.images.partition_point(|image| image.at < size));
            let images = self.images.len() * self.page_bytes;
            self.bytes.truncate((size as usize).saturating_sub(images));
        }
    }

    /// How many images lie before these bytes; none if one lies among them.
    fn images_before(&self, begin: u64, end: u64) -> Option<usize> {
        let before = self.images.partition_point(|image| image.at < begin);
        let clear = self.images.get(before).is_none_or(|next| end <= next.at);
        let after_last = self.images[..before].last().is_none_or(|last| last.at + self.page_bytes as u64 <= begin);
        (clear && after_last).then_some(before)
    }
}

/// Copies as much as there is, and there is room for.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let length = from.len().min(to.len());
    to[..length].copy_from_slice(&from[..length]);
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(journal: &mut Journal, pgno: u32) {
        let end = journal.size();
        assert!(journal.write(end, &pgno.to_be_bytes()));
        assert_eq!(journal.page_of(end + 4, &[7; 512], 512), Some(Pgno(pgno)));
        journal.push_image(Pgno(pgno), 512);
        assert!(journal.write(end + 4 + 512, &[pgno as u8; 4]));
    }

    fn read(journal: &Journal, offset: u64, length: usize) -> (usize, Vec<u8>) {
        let mut buffer = vec![0xff; length];
        let original = |pgno: Pgno, image: &mut [u8]| {
            image.fill(pgno.0 as u8);
            Ok::<(), ()>(())
        };
        (journal.read(offset, &mut buffer, original).unwrap(), buffer)
    }

    #[test]
    fn reads_what_was_written_and_images_from_the_base() {
        let mut journal = Journal::default();
        assert_eq!(journal.page_of(0, &[1; 512], 512), None, "a header of the size of a page");
        assert!(journal.write(0, &[1; 512]));
        record(&mut journal, 9);
        record(&mut journal, 3);
        assert_eq!(journal.size(), 512 + 2 * 520);
        assert_eq!(read(&journal, 0, 8), (8, vec![1; 8]));
        assert_eq!(read(&journal, 512, 4), (4, vec![0, 0, 0, 9]));
        assert_eq!(read(&journal, 516, 512), (512, vec![9; 512]));
        assert_eq!(read(&journal, 516 + 512 + 4, 4), (4, vec![0, 0, 0, 3]));
        assert_eq!(read(&journal, 516 + 512 + 8 + 512, 8), (4, vec![3, 3, 3, 3, 0, 0, 0, 0]));
        assert!(journal.write(8, &[5; 4]), "a header is written again");
        assert_eq!(read(&journal, 7, 6), (6, vec![1, 5, 5, 5, 5, 1]));
    }

    #[test]
    fn bytes_among_an_image_are_refused() {
        let mut journal = Journal::default();
        record(&mut journal, 2);
        assert!(!journal.write(100, &[1; 4]));
        assert!(!journal.write(2, &[1; 4]));
        assert_eq!(read(&journal, 2, 8), (8, vec![0, 2, 2, 2, 2, 2, 2, 2]));
        assert_eq!(read(&journal, 512, 10), (8, vec![2, 2, 2, 2, 2, 2, 2, 2, 0, 0]));
    }

    #[test]
    fn a_cut_journal_ends_there() {
        let mut journal = Journal::default();
        assert!(journal.write(0, &[1; 512]));
        record(&mut journal, 9);
        record(&mut journal, 3);
        journal.truncate(512 + 520);
        assert_eq!(journal.size(), 512 + 520);
        assert_eq!(read(&journal, 516, 512), (512, vec![9; 512]));
        journal.truncate(0);
        assert_eq!(journal.size(), 0);
    }
}
