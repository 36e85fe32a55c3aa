//! SQLite's temporary files: sorters, temporary trees, the statement journal. The blocks that were used last stay in memory; the others go to the
//! store's scratch space, where a crash leaves nothing that counts.
//!
//! **Invariants**
//! 1. A file that fits in memory touches no storage.
//! 2. What was stored of a file is deleted when SQLite closes it; of a statement journal, which SQLite keeps open, when its transaction ends.
//!
//! **Not here:** which connections have them (`vfs`): replicas keep all in SQLite's own memory.

use crate::sqlite::file::{File, FileFailure};
use crate::sqlite::temporary::TemporaryFiles;
use crate::store::{BLOCK_BYTES, ScratchSpace, StoreError};
use lru::LruCache;
use std::cell::RefCell;
use std::rc::{Rc, Weak};

/// Blocks of a file that stay in memory: 2 MB.
const IN_MEMORY: usize = 32;

/// The temporary files of one connection.
pub(super) struct ScratchFiles {
    space: Rc<dyn ScratchSpace>,
    /// The last error of one of them.
    error: Rc<RefCell<Option<StoreError>>>,
    statement_journal: RefCell<Weak<RefCell<ScratchFile>>>,
}

impl ScratchFiles {
    pub(super) fn new(space: Rc<dyn ScratchSpace>) -> ScratchFiles {
        ScratchFiles { space, error: Rc::default(), statement_journal: RefCell::default() }
    }

    /// A transaction has ended: SQLite looks at no statement of it any more.
    pub(super) fn forget_statements(&self) {
        if let Some(journal) = self.statement_journal.borrow().upgrade() {
            // What cannot be deleted now is written over, or deleted in the end.
            let _ = journal.borrow_mut().truncate(0);
        }
    }

    pub(super) fn take_error(&self) -> Option<StoreError> {
        self.error.take()
    }
}

impl TemporaryFiles for ScratchFiles {
    fn create(&self, is_statement_journal: bool) -> Rc<RefCell<dyn File>> {
        let file = Rc::new(RefCell::new(ScratchFile::new(self.space.clone(), self.error.clone())));
        if is_statement_journal {
            self.statement_journal.replace(Rc::downgrade(&file));
        }
        file
    }
}

struct ScratchFile {
    space: Rc<dyn ScratchSpace>,
    error: Rc<RefCell<Option<StoreError>>>,
    /// Its number in the scratch space, if something of it is there.
    number: Option<u64>,
    size: u64,
    blocks: LruCache<u32, Block>,
}

struct Block {
    bytes: Box<[u8]>,
    /// It is not stored as it is.
    is_new: bool,
}

impl ScratchFile {
    fn new(space: Rc<dyn ScratchSpace>, error: Rc<RefCell<Option<StoreError>>>) -> ScratchFile {
        ScratchFile { space, error, number: None, size: 0, blocks: LruCache::unbounded() }
    }

    /// The bytes of a block, in memory from now on.
    fn block(&mut self, number: u32) -> Result<&mut Block, StoreError> {
        if !self.blocks.contains(&number) {
            let mut bytes = vec![0; BLOCK_BYTES].into_boxed_slice();
            let stored = self.number.map_or(Ok(None), |file| self.space.get_scratch(file, number))?;
            if let Some(stored) = stored {
                let length = stored.len().min(BLOCK_BYTES);
                bytes[..length].copy_from_slice(&stored[..length]);
            }
            self.make_room()?;
            self.blocks.put(number, Block { bytes, is_new: false });
        }
        self.blocks.get_mut(&number).ok_or_else(|| StoreError::Io("a temporary file has lost a block".into()))
    }

    fn make_room(&mut self) -> Result<(), StoreError> {
        while self.blocks.len() >= IN_MEMORY
            && let Some((number, block)) = self.blocks.peek_lru().map(|(number, block)| (*number, block))
        {
            if block.is_new {
                let file = *self.number.get_or_insert_with(|| self.space.new_scratch());
                self.space.put_scratch(file, number, &block.bytes)?;
            }
            self.blocks.pop_lru();
        }
        Ok(())
    }

    /// Calls `visit` with each block that `length` bytes at `offset` touch, where in the block they begin, and which of them lie in it.
    fn for_each_block(
        &mut self,
        offset: u64,
        length: usize,
        mut visit: impl FnMut(&mut Block, usize, std::ops::Range<usize>),
    ) -> Result<(), FileFailure> {
        let mut done = 0;
        while done < length {
            let at = offset + done as u64;
            let from = (at % BLOCK_BYTES as u64) as usize;
            let piece = (BLOCK_BYTES - from).min(length - done);
            match self.block((at / BLOCK_BYTES as u64) as u32) {
                Ok(block) => visit(block, from, done..done + piece),
                Err(error) => return Err(self.fail(error)),
            }
            done += piece;
        }
        Ok(())
    }

    fn fail(&self, error: StoreError) -> FileFailure {
        let failure = if matches!(error, StoreError::Full(_)) { FileFailure::Full } else { FileFailure::Store };
        self.error.replace(Some(error));
        failure
    }
}

impl File for ScratchFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, FileFailure> {
        let available = self.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        buffer[available..].fill(0);
        let inside = &mut buffer[..available];
        self.for_each_block(offset, available, |block, from, range| {
            let length = range.len();
            inside[range].copy_from_slice(&block.bytes[from..from + length]);
        })?;
        Ok(available)
    }

    fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), FileFailure> {
        self.for_each_block(offset, data.len(), |block, from, range| {
            let length = range.len();
            block.bytes[from..from + length].copy_from_slice(&data[range]);
            block.is_new = true;
        })?;
        self.size = self.size.max(offset + data.len() as u64);
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> Result<(), FileFailure> {
        if size >= self.size {
            return Ok(());
        }
        let kept = size.div_ceil(BLOCK_BYTES as u64) as u32;
        let beyond: Vec<u32> = self.blocks.iter().map(|(number, _)| *number).filter(|number| *number >= kept).collect();
        beyond.iter().for_each(|number| drop(self.blocks.pop(number)));
        if let Some(file) = self.number {
            self.space.cut_scratch(file, kept).map_err(|error| self.fail(error))?;
        }
        self.size = size;
        // What is written beyond the end one day has zeros before it.
        let rest = (u64::from(kept) * BLOCK_BYTES as u64 - size) as usize;
        self.for_each_block(size, rest, |block, from, range| {
            block.bytes[from..from + range.len()].fill(0);
            block.is_new = true;
        })
    }

    /// Nobody waits for a temporary file to be committed.
    fn commit(&mut self) -> Result<(), FileFailure> {
        Ok(())
    }

    fn journal_size(&self) -> u64 {
        0
    }

    fn read_journal(&mut self, _offset: u64, _buffer: &mut [u8]) -> Result<usize, FileFailure> {
        Ok(0)
    }

    fn write_journal(&mut self, _offset: u64, _data: &[u8]) -> Result<(), FileFailure> {
        Err(FileFailure::ReadOnly)
    }

    fn truncate_journal(&mut self, _size: u64) {}
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        if let Some(file) = self.number {
            // What cannot be deleted now is swept when the store is opened next.
            let _ = self.space.cut_scratch(file, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, usize, u8),
        Read(u64, usize),
        Truncate(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let at = || 0..5_000_000u64;
        prop::collection::vec(
            prop_oneof![
                5 => (at(), 0..200_000usize, 1..255u8).prop_map(|(at, length, byte)| Step::Write(at, length, byte)),
                3 => (at(), 0..200_000usize).prop_map(|(at, length)| Step::Read(at, length)),
                1 => at().prop_map(Step::Truncate),
            ],
            1..60,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn a_scratch_file_is_a_file(steps in steps()) {
            let space: Rc<dyn ScratchSpace> = Rc::new(MemoryStore::new());
            let mut file = ScratchFile::new(space.clone(), Rc::default());
            let mut expected: Vec<u8> = Vec::new();
            for step in steps {
                match step {
                    Step::Write(at, length, byte) => {
                        let end = at as usize + length;
                        if length > 0 && expected.len() < end {
                            expected.resize(end, 0);
                        }
                        expected[(at as usize).min(end)..].iter_mut().take(length).for_each(|place| *place = byte);
                        file.write(at, &vec![byte; length]).unwrap();
                    }
                    Step::Read(at, length) => {
                        let mut read = vec![7; length];
                        let count = file.read(at, &mut read).unwrap();
                        let there: Vec<u8> = expected.iter().skip(at as usize).take(length).copied().collect();
                        prop_assert_eq!(count, there.len());
                        prop_assert!(read[..count] == there[..] && read[count..].iter().all(|byte| *byte == 0));
                    }
                    Step::Truncate(size) => {
                        expected.truncate(size as usize);
                        file.truncate(size).unwrap();
                    }
                }
                prop_assert_eq!(file.size(), expected.len() as u64);
                prop_assert!(file.blocks.len() <= IN_MEMORY);
            }
            let number = file.number;
            drop(file);
            if let Some(number) = number {
                prop_assert!((0..100).all(|block| space.get_scratch(number, block) == Ok(None)));
            }
        }
    }
}
