//! Bytes to messages. The format is in the module above.

use super::{
    Body, Changed, DecodeError, Fetch, LoggedCommit, MAGIC, MAX_MESSAGE_BYTES, Message, Pages, Pull, Refusal, RefusalReason, Restart,
    RestartReason, Segment, Sought, StoredFrame, VERSION,
};
use bytes::Buf;
use littoral_protocol::{Checksum, DatabaseId, PageSize, Pgno, Position, State, Txid};
use xxhash_rust::xxh64::xxh64;

const SEAL_BYTES: usize = 8;
/// Bytes of a page number in a list, of the smallest frame, and of the smallest commit.
const NUMBER_BYTES: usize = 4;
const FRAME_BYTES: usize = 16;
const COMMIT_BYTES: usize = 37;

impl Message {
    /// Reads a message.
    pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
        if bytes.len() > MAX_MESSAGE_BYTES {
            return Err(DecodeError::Envelope("it is too long"));
        }
        let (sealed, seal) = bytes.split_last_chunk::<SEAL_BYTES>().map(|(sealed, seal)| (sealed, u64::from_be_bytes(*seal))).unzip();
        let mut read = ByteReader(sealed.unwrap_or_default());
        let magic = [read.u8("the magic")?, read.u8("the magic")?, read.u8("the magic")?, read.u8("the magic")?];
        if magic != MAGIC {
            return Err(DecodeError::Envelope("it does not begin with LTRL"));
        }
        let version = read.u8("the version")?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        if seal != Some(xxh64(sealed.unwrap_or_default(), 0)) {
            return Err(DecodeError::Envelope("its checksum does not match"));
        }
        let kind = read.u8("the kind")?;
        let database = DatabaseId(read.u64("the database")?);
        let body = read.body(kind)?;
        if read.0.has_remaining() {
            return Err(DecodeError::Length("the end"));
        }
        Ok(Message { database, body })
    }
}

struct ByteReader<'a>(&'a [u8]);

impl ByteReader<'_> {
    fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.0.try_get_u8().map_err(|_| DecodeError::Length(what))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.0.try_get_u32().map_err(|_| DecodeError::Length(what))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.0.try_get_u64().map_err(|_| DecodeError::Length(what))
    }

    /// A count of things that take at least `bytes` each: more than can follow is refused before room is made for them.
    fn count(&mut self, bytes: usize, what: &'static str) -> Result<usize, DecodeError> {
        let count = self.u32(what)? as usize;
        if count.saturating_mul(bytes) > self.0.remaining() { Err(DecodeError::Length(what)) } else { Ok(count) }
    }

    fn body(&mut self, kind: u8) -> Result<Body, DecodeError> {
        Ok(match kind {
            1 => Body::Pull(self.pull()?),
            2 => Body::Commits(self.segment()?),
            3 => {
                let reason = self.restart_reason()?;
                let state = self.state()?;
                let age_ms = self.u32("the age")?;
                Body::Restart(Restart { reason, state, age_ms, pages: self.frames(&state)? })
            }
            4 => Body::Fetch(Fetch { at: self.position()?, pages: self.numbers()? }),
            5 => {
                let state = self.state()?;
                Body::Pages(Pages { state, frames: self.frames(&state)? })
            }
            6 => Body::Find(match self.u8("the kind of point")? {
                0 => Sought::Time(self.u64("the time")?),
                1 => Sought::At(self.position()?),
                _ => return Err(DecodeError::Value("kind of point")),
            }),
            7 => Body::Found(self.state()?),
            8 => Body::Refused(self.refusal()?),
            _ => return Err(DecodeError::Value("kind")),
        })
    }

    fn pull(&mut self) -> Result<Pull, DecodeError> {
        let position = self.position()?;
        let flags = self.u8("the flags")?;
        if flags > 3 {
            return Err(DecodeError::Value("flag"));
        }
        let wanted = self.txid()?;
        let max_bytes = self.u32("the bytes wanted")?;
        Ok(Pull { after: (flags & 1 != 0).then_some(position), images: flags & 2 != 0, wanted, max_bytes })
    }

    fn segment(&mut self) -> Result<Segment, DecodeError> {
        let head = self.state()?;
        let age_ms = self.u32("the age")?;
        let after = self.position()?;
        let count = self.count(COMMIT_BYTES, "the commits")?;
        let mut commits: Vec<LoggedCommit> = Vec::with_capacity(count);
        let mut before = after.txid;
        for _ in 0..count {
            let commit = self.commit()?;
            if commit.state.txid != before.next() {
                return Err(DecodeError::Value("txid: commits are not dense"));
            }
            before = commit.state.txid;
            commits.push(commit);
        }
        if before > head.txid {
            return Err(DecodeError::Value("head: commits go beyond it"));
        }
        Ok(Segment { head, age_ms, after, commits })
    }

    fn commit(&mut self) -> Result<LoggedCommit, DecodeError> {
        let state = self.state()?;
        let pages = match self.u8("the kind of commit")? {
            0 => Changed::Images(self.frames(&state)?),
            1 => Changed::Numbers(self.numbers()?),
            _ => return Err(DecodeError::Value("kind of commit")),
        };
        let commit = LoggedCommit { state, pages };
        let pgnos = commit.pgnos();
        if !pgnos.is_sorted_by(|a, b| a < b) || pgnos.last().is_some_and(|last| last.0 > state.page_count) {
            return Err(DecodeError::Value("list of pages"));
        }
        Ok(commit)
    }

    fn txid(&mut self) -> Result<Txid, DecodeError> {
        Some(Txid(self.u64("a txid")?)).filter(|txid| *txid <= Txid::MAX).ok_or(DecodeError::Value("txid"))
    }

    fn position(&mut self) -> Result<Position, DecodeError> {
        Ok(Position { txid: self.txid()?, checksum: Checksum(self.u64("a checksum")?) })
    }

    fn state(&mut self) -> Result<State, DecodeError> {
        let txid = self.txid()?;
        let page_size = PageSize::new(self.u32("a page size")?).ok_or(DecodeError::Value("page size"))?;
        let (page_count, time_ms) = (self.u32("a page count")?, self.u64("a time")?);
        Ok(State { txid, page_size, page_count, time_ms, checksum: Checksum(self.u64("a checksum")?) })
    }

    fn numbers(&mut self) -> Result<Vec<Pgno>, DecodeError> {
        let count = self.count(NUMBER_BYTES, "the page numbers")?;
        (0..count).map(|_| self.pgno()).collect()
    }

    fn pgno(&mut self) -> Result<Pgno, DecodeError> {
        match self.u32("a page number")? {
            0 => Err(DecodeError::Value("page number")),
            number => Ok(Pgno(number)),
        }
    }

    fn frames(&mut self, state: &State) -> Result<Vec<StoredFrame>, DecodeError> {
        let count = self.count(FRAME_BYTES, "the frames")?;
        let mut frames = Vec::with_capacity(count);
        for _ in 0..count {
            let (pgno, checksum) = (self.pgno()?, Checksum(self.u64("a checksum")?));
            let length = self.u32("the length of an image")? as usize;
            if pgno.0 > state.page_count || length > state.page_size.bytes() {
                return Err(DecodeError::Value("frame"));
            }
            let (stored, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Length("an image"))?;
            self.0 = rest;
            frames.push(StoredFrame { pgno, checksum, stored: stored.into() });
        }
        Ok(frames)
    }

    fn restart_reason(&mut self) -> Result<RestartReason, DecodeError> {
        match self.u8("the reason")? {
            0 => Ok(RestartReason::First),
            1 => Ok(RestartReason::Pruned),
            2 => Ok(RestartReason::Diverged),
            3 => Ok(RestartReason::Foreign),
            4 => Ok(RestartReason::Ahead),
            _ => Err(DecodeError::Value("reason to restart")),
        }
    }

    fn refusal(&mut self) -> Result<Refusal, DecodeError> {
        let reason = match self.u8("the reason")? {
            0 => RefusalReason::Malformed,
            1 => RefusalReason::Foreign,
            2 => RefusalReason::Unknown,
            3 => RefusalReason::Pruned,
            4 => RefusalReason::Failed,
            _ => return Err(DecodeError::Value("reason to refuse")),
        };
        let text = String::from_utf8_lossy(std::mem::take(&mut self.0)).into_owned();
        Ok(Refusal { reason, text })
    }
}
