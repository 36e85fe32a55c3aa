//! SQLite's rollback journal of the running transaction, without the images of pages.
//!
//! Before SQLite changes a page for the first time it appends the page, as its cache has it, to the journal
//! (<https://www.sqlite.org/fileformat2.html#the_rollback_journal>). That serves two ends here:
//! - **What is about to be changed was read as it was stored.** The image is compared with the checksum of the page in the base state. SQLite's
//!   cache is ordinary memory: what a stray write has damaged there would otherwise be stored with a checksum that fits.
//! - **The image need not be kept**: it is the base's, and is read there when SQLite rolls back.
//!
//! What is kept of a page are the 8 bytes around its image: 20 MB for a transaction that changes all of 10 GB.
//!
//! **Invariant:** bytes that are read are those that were written.
//!
//! **Not here:** the statement journal, a temporary file (`scratch_file`); the journal of a reader: there is none.

use littoral_protocol::Pgno;

/// Bytes of a record beside its image: the number of the page before it, and a checksum after it.
const BESIDE_IMAGE: u64 = 8;

/// The journal's file.
#[derive(Default)]
pub(super) struct Journal {
    /// Everything that is not an image, in order.
    bytes: Vec<u8>,
    /// Where images are.
    runs: Vec<Run>,
    /// Images in all.
    images: u64,
    page_bytes: u64,
}

/// Images with nothing between them but the rest of their records.
struct Run {
    /// How many images are before it.
    first: u64,
    /// The byte of the file at which its first image begins.
    at: u64,
}

impl Journal {
    /// The length of the file, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64 + self.images * self.page_bytes
    }

    /// The page whose image a write at the end of the file is: its number was written just before. A header, at the beginning, is none.
    pub(super) fn page_of(&self, offset: u64, data: &[u8], page_bytes: usize) -> Option<Pgno> {
        let number = self.bytes.last_chunk().filter(|_| offset == self.size() && data.len() == page_bytes)?;
        Some(Pgno(u32::from_be_bytes(*number)))
    }

    /// Appends an image that is the base's, of the page whose number was written just before.
    pub(super) fn push_image(&mut self, page_bytes: usize) {
        self.page_bytes = page_bytes as u64;
        let at = self.size();
        if self.images == 0 || self.begin_of(self.images - 1) + self.stride() != at {
            self.runs.push(Run { first: self.images, at });
        }
        self.images += 1;
    }

    fn stride(&self) -> u64 {
        self.page_bytes + BESIDE_IMAGE
    }

    /// The byte of the file at which an image begins.
    fn begin_of(&self, image: u64) -> u64 {
        let run = self.runs.partition_point(|run| run.first <= image).checked_sub(1).map(|run| &self.runs[run]);
        run.map_or(0, |run| run.at + (image - run.first) * self.stride())
    }

    /// How many images begin before `offset`.
    fn begun_before(&self, offset: u64) -> u64 {
        let begun = self.runs.partition_point(|run| run.at < offset);
        let Some(run) = begun.checked_sub(1).map(|run| &self.runs[run]) else { return 0 };
        let end = self.runs.get(begun).map_or(self.images, |next| next.first);
        end.min(run.first + (offset - run.at).div_ceil(self.stride()))
    }

    /// The index in `bytes` of a byte of the file with so many images before it.
    fn index(&self, offset: u64, images: u64) -> usize {
        (offset - images * self.page_bytes) as usize
    }

    /// The page of an image.
    fn pgno_of(&self, image: u64) -> Pgno {
        let number = self.bytes[..self.index(self.begin_of(image), image)].last_chunk();
        Pgno(number.map_or(0, |number| u32::from_be_bytes(*number)))
    }

    /// Writes other bytes, which must touch no image: a header, a number, a checksum. False: they would.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        let Some(before) = self.images_before(offset, offset + data.len() as u64) else { return false };
        let begin = self.index(offset, before);
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
        let page_bytes = self.page_bytes as usize;
        let mut done = 0;
        while done < available {
            let at = offset + done as u64;
            let rest = &mut buffer[done..available];
            let before = self.begun_before(at + 1);
            let image = before.checked_sub(1).map(|image| (image, at - self.begin_of(image)));
            done += match image.filter(|(_, from)| *from < self.page_bytes) {
                Some((image, 0)) if rest.len() >= page_bytes => {
                    original(self.pgno_of(image), &mut rest[..page_bytes])?;
                    page_bytes
                }
                // SQLite looks for another name at the journal's end.
                Some((image, from)) => {
                    let mut whole = vec![0; page_bytes];
                    original(self.pgno_of(image), &mut whole)?;
                    copy(&whole[from as usize..], rest)
                }
                None => {
                    let next = if before < self.images { self.index(self.begin_of(before), before) } else { self.bytes.len() };
                    copy(&self.bytes[self.index(at, before)..next], rest)
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
            self.images = self.begun_before(size);
            self.runs.retain(|run| run.first < self.images);
            self.bytes.truncate(size.saturating_sub(self.images * self.page_bytes) as usize);
        }
    }

    /// How many images lie before these bytes; none if one lies among them.
    fn images_before(&self, begin: u64, end: u64) -> Option<u64> {
        let before = self.begun_before(begin);
        let clear = before == self.images || end <= self.begin_of(before);
        let after_last = before == 0 || self.begin_of(before - 1) + self.page_bytes <= begin;
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
        journal.push_image(512);
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
    fn headers_between_records_are_read_where_they_are() {
        let mut journal = Journal::default();
        let mut expected = Vec::new();
        for header in 0..5u8 {
            let end = journal.size();
            assert!(journal.write(end, &[100 + header; 512]));
            expected.extend([100 + header; 512]);
            for pgno in (0..u32::from(header)).map(|record| u32::from(header) * 10 + record) {
                record(&mut journal, pgno);
                expected.extend(pgno.to_be_bytes());
                expected.extend([pgno as u8; 512 + 4]);
            }
        }
        assert!(journal.runs.len() == 4 && journal.images == 10);
        for at in (0..expected.len()).step_by(if cfg!(miri) { 97 } else { 1 }) {
            let (length, found) = read(&journal, at as u64, 700);
            assert_eq!(found[..length], expected[at..(at + 700).min(expected.len())], "at {at}");
        }
        // Two records of the last header are left, then none of it.
        journal.truncate(journal.size() - 2 * 520);
        assert_eq!((journal.images, read(&journal, journal.size() - 4, 4).1), (8, vec![41; 4]));
        journal.truncate(journal.size() - 2 * 520 - 512);
        assert_eq!((journal.images, journal.runs.len(), read(&journal, journal.size() - 4, 4).1), (6, 3, vec![32; 4]));
        record(&mut journal, 50);
        assert_eq!((journal.runs.len(), read(&journal, journal.size() - 520, 4).1), (3, vec![0, 0, 0, 50]));
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
    fn a_journal_is_longer_than_32_bits_tell() {
        let images = 1 << 17;
        // Records of pages 0, but for the last.
        let mut bytes = vec![0; 8 << 17];
        bytes[(8 << 17) - 8..].copy_from_slice(&[0, 0, 0, 55, 9, 9, 9, 9]);
        let mut journal = Journal { bytes, runs: vec![Run { first: 0, at: 4 }], images, page_bytes: 65_536 };
        let end = images * (65_536 + 8);
        assert_eq!((journal.size(), journal.begin_of(images - 1)), (end, end - 65_536 - 4));
        assert!(journal.write(end, &77u32.to_be_bytes()));
        assert_eq!(journal.page_of(end + 4, &[0; 65_536], 65_536), Some(Pgno(77)));
        journal.push_image(65_536);
        assert_eq!((read(&journal, end, 4), read(&journal, end - 65_544, 4).1), ((4, vec![0, 0, 0, 77]), vec![0, 0, 0, 55]));
        let mut image = vec![0; 65_536];
        let original = |pgno: Pgno, _: &mut [u8]| if pgno == Pgno(77) { Ok(()) } else { Err(pgno) };
        assert_eq!(journal.read(end + 4, &mut image, original), Ok(65_536));
        journal.truncate(end);
        assert_eq!(journal.size(), end);
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
