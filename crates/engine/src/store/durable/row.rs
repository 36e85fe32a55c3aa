//! Rows of the durable store's tables, read and checked.

use super::index::{Listed, Slot, decode_entries, decode_pages};
use super::{FOLD_BITS, Param, StoredValue};
use crate::store::StoreError;
use littoral_protocol::{Checksum, PageSize, Pgno, State, Txid};

/// Takes typed values out of a result row, in order.
pub(super) struct RowReader(std::vec::IntoIter<StoredValue>);

impl RowReader {
    pub(super) fn new(row: Vec<StoredValue>) -> RowReader {
        RowReader(row.into_iter())
    }

    pub(super) fn int(&mut self) -> Result<u64, StoreError> {
        match self.0.next() {
            Some(StoredValue::Int(value)) => Ok(value),
            other => Err(unexpected("an integer", other.as_ref())),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, StoreError> {
        self.optional_text()?.ok_or_else(|| unexpected("text", Some(&StoredValue::Null)))
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.0.next() {
            Some(StoredValue::Text(value)) => Ok(Some(value)),
            Some(StoredValue::Null) => Ok(None),
            other => Err(unexpected("text", other.as_ref())),
        }
    }

    pub(super) fn blob(&mut self) -> Result<Vec<u8>, StoreError> {
        self.optional_blob()?.ok_or_else(|| unexpected("bytes", Some(&StoredValue::Null)))
    }

    pub(super) fn optional_blob(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0.next() {
            Some(StoredValue::Blob(value)) => Ok(Some(value)),
            Some(StoredValue::Null) => Ok(None),
            other => Err(unexpected("bytes", other.as_ref())),
        }
    }
}

fn unexpected(wanted: &str, found: Option<&StoredValue>) -> StoreError {
    let found = match found {
        None => "no column",
        Some(StoredValue::Null) => "NULL",
        Some(StoredValue::Int(_)) => "an integer",
        Some(StoredValue::Blob(_)) => "bytes",
        Some(StoredValue::Text(_)) => "text",
    };
    StoreError::Corrupt { what: format!("a stored row has {found} where {wanted} was expected") }
}

/// The `id` of the version of `pgno` that a fold wrote.
pub(super) fn page_id(pgno: Pgno, fold: u64) -> Param<'static> {
    Param::Int(u64::from(pgno.0) << FOLD_BITS | fold)
}

/// The number of the fold that wrote an `id`.
pub(super) fn number_of_id(id: u64) -> u64 {
    id & ((1 << FOLD_BITS) - 1)
}

/// The page of an `id`.
pub(super) fn page_of_id(id: u64) -> Pgno {
    Pgno((id >> FOLD_BITS) as u32)
}

pub(super) fn cut_frame(frames: &[u8], pgno: Pgno, slot: Slot) -> Result<&[u8], StoreError> {
    let from = slot.offset as usize;
    frames.get(from..from + slot.length as usize).ok_or_else(|| StoreError::damaged_page(pgno, slot.txid, "its log row is cut"))
}

pub(super) fn read_checksum(bytes: &[u8]) -> Result<Checksum, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt { what: "a stored checksum is not 8 bytes long".into() })?;
    Ok(Checksum(u64::from_le_bytes(bytes)))
}

/// The columns of a log row that `read_list` reads.
pub(super) const LIST_COLUMNS: &str = "txid, page_size, page_count, time_ms, checksum, pages, frames IS NULL";

/// The state and the page list of a log row, checked against each other.
pub(super) fn read_list(row: &mut RowReader) -> Result<(State, Listed), StoreError> {
    let state = read_state(row)?;
    let list = row.blob()?;
    let listed = match row.int()? {
        0 => Listed::Log(decode_entries(&state, &list)?),
        _ => Listed::Table(decode_pages(&state, &list)?),
    };
    Ok((state, listed))
}

pub(super) fn read_state(row: &mut RowReader) -> Result<State, StoreError> {
    let (txid, page_size, page_count, time_ms) = (Txid(row.int()?), row.int()?, row.int()?, row.int()?);
    let damaged = |what: &str| StoreError::Corrupt { what: format!("commit {txid} has an impossible {what}") };
    Ok(State {
        txid,
        page_size: u32::try_from(page_size).ok().and_then(PageSize::new).ok_or_else(|| damaged("page size"))?,
        page_count: u32::try_from(page_count).map_err(|_| damaged("page count"))?,
        time_ms,
        checksum: read_checksum(&row.blob()?)?,
    })
}
