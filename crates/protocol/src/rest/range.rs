//! The header `Range`: one range of bytes (RFC 9110, section 14). Others are passed over, as that allows: then everything is answered.

use super::Refusal;

/// Bytes of a file, from `begin` to before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub begin: u64,
    /// The one after the last.
    pub end: u64,
}

/// The range that a header asks for of a file of so many bytes; `None`: all.
///
/// ```
/// use littoral_protocol::rest::{Range, range};
/// assert_eq!(range(Some("bytes=100-"), 1_000).unwrap(), Some(Range { begin: 100, end: 1_000 }));
/// assert_eq!(range(None, 1_000).unwrap(), None);
/// assert_eq!(range(Some("bytes=1000-"), 1_000).unwrap_err().status, 416);
/// ```
pub fn range(header: Option<&str>, bytes: u64) -> Result<Option<Range>, Refusal> {
    let Some((first, last)) = header.and_then(|header| header.strip_prefix("bytes=")).and_then(|range| range.trim().split_once('-')) else {
        return Ok(None);
    };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(begin), Ok(last)) if begin <= last => Range { begin, end: last.saturating_add(1).min(bytes) },
        (Ok(begin), Err(_)) if last.is_empty() => Range { begin, end: bytes },
        (Err(_), Ok(suffix)) if first.is_empty() => Range { begin: bytes.saturating_sub(suffix), end: bytes },
        _ => return Ok(None),
    };
    if range.begin >= range.end { Err(Refusal::no_range(bytes)) } else { Ok(Some(range)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_in_its_three_forms_and_everything_else_is_passed_over() {
        let of = |header: &str| range(Some(header), 1_000).map(|range| range.map(|range| (range.begin, range.end)));
        assert_eq!(of("bytes=0-99").unwrap(), Some((0, 100)));
        assert_eq!(of("bytes=900-5000").unwrap(), Some((900, 1_000)));
        assert_eq!(of("bytes=-300").unwrap(), Some((700, 1_000)));
        assert_eq!(of("bytes=-3000").unwrap(), Some((0, 1_000)));
        for other in ["", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=0-1,5-6", "items=0-1", "bytes=x-y"] {
            assert_eq!(of(other).unwrap(), None, "{other}");
        }
        for nothing in ["bytes=1000-", "bytes=5000-6000", "bytes=-0"] {
            assert_eq!(of(nothing).unwrap_err().status, 416, "{nothing}");
        }
    }
}
