//! The records that arrive from the kernel side, checked and typed.

use profiler_common::record::{
    Cgroup, Code, Final, Fork, Lifecycle, Piece, Sample, Stack, StackFrame, Stranger, Thread, kind,
};
use zerocopy::FromBytes;

/// One record. Byte slices are as long as the record says.
#[derive(Debug)]
pub enum Event<'a> {
    /// A sample.
    Sample(Sample),
    /// A stack, with its frames as they were sent.
    Stack(Stack, &'a [StackFrame]),
    /// A code object, with the first bytes of name, file name and line table.
    Code(Code, [&'a [u8]; 3]),
    /// A further piece of a code object.
    Piece(Piece, &'a [u8]),
    /// A process under profile was forked; this is the child.
    Fork(Fork),
    /// A process executes another program.
    Exec(Lifecycle),
    /// A thread of a process under profile ended.
    Exit(Lifecycle),
    /// A thread was seen.
    Thread(Thread),
    /// A cgroup was made, with this path.
    Cgroup(Cgroup, &'a [u8]),
    /// A process that is not under profile was met.
    Stranger(Stranger),
    /// A thread of a process under profile is gone for good.
    Final(Final),
}

/// The record is not one that the kernel side writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record")]
pub struct Malformed;

/// Reads a record.
///
/// # Errors
/// [`Malformed`] where its kind or its lengths are not those of any record.
pub fn parse(bytes: &[u8]) -> Result<Event<'_>, Malformed> {
    let kind = bytes
        .first_chunk()
        .map(|&first| u16::from_ne_bytes(first))
        .ok_or(Malformed)?;
    match kind {
        kind::SAMPLE => fixed(bytes).map(Event::Sample),
        kind::STACK => {
            let (stack, rest) = Stack::read_from_prefix(bytes).map_err(|_| Malformed)?;
            let count = (stack.leaf_frames as usize).saturating_add(stack.root_frames as usize);
            // Ring buffer records are aligned to 8 bytes, as are frames.
            let (frames, _) =
                <[StackFrame]>::ref_from_prefix_with_elems(rest, count).map_err(|_| Malformed)?;
            Ok(Event::Stack(stack, frames))
        }
        kind::CODE => {
            let (code, rest) = Code::read_from_prefix(bytes).map_err(|_| Malformed)?;
            let (name, rest) = split(rest, code.name_sent)?;
            let (file, rest) = split(rest, code.file_sent)?;
            let (table, _) = split(rest, code.table_sent)?;
            Ok(Event::Code(code, [name, file, table]))
        }
        kind::PIECE => {
            let (piece, rest) = Piece::read_from_prefix(bytes).map_err(|_| Malformed)?;
            Ok(Event::Piece(piece, split(rest, piece.bytes)?.0))
        }
        kind::FORK => fixed(bytes).map(Event::Fork),
        kind::EXEC => fixed(bytes).map(Event::Exec),
        kind::EXIT => fixed(bytes).map(Event::Exit),
        kind::THREAD => fixed(bytes).map(Event::Thread),
        kind::CGROUP => {
            let (cgroup, rest) = Cgroup::read_from_prefix(bytes).map_err(|_| Malformed)?;
            Ok(Event::Cgroup(cgroup, split(rest, cgroup.path_bytes)?.0))
        }
        kind::STRANGER => fixed(bytes).map(Event::Stranger),
        kind::FINAL => fixed(bytes).map(Event::Final),
        _ => Err(Malformed),
    }
}

fn fixed<T: FromBytes>(bytes: &[u8]) -> Result<T, Malformed> {
    T::read_from_prefix(bytes)
        .map(|(record, _)| record)
        .map_err(|_| Malformed)
}

fn split(bytes: &[u8], at: u32) -> Result<(&[u8], &[u8]), Malformed> {
    bytes.split_at_checked(at as usize).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::*;

    /// Makes sure that a record cut at any byte is refused, not misread.
    #[test]
    fn cut_records_are_malformed() {
        let piece = Piece {
            kind: kind::PIECE,
            section: 2,
            offset: 0,
            generation: 1,
            key: 2,
            bytes: 4,
            padding: 0,
        };
        let mut bytes = piece.as_bytes().to_vec();
        bytes.extend([1, 2, 3, 4]);
        assert!(matches!(parse(&bytes), Ok(Event::Piece(_, [1, 2, 3, 4]))));
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    /// Makes sure that a stack that claims more frames than were sent is refused.
    #[test]
    fn a_stack_longer_than_its_record_is_malformed() {
        let stack = Stack {
            kind: kind::STACK,
            padding: 0,
            pid: 1,
            generation: 1,
            id: 1,
            marks: 0,
            depth: 2,
            leaf_frames: u32::MAX,
            root_frames: u32::MAX,
        };
        assert!(parse(stack.as_bytes()).is_err());
    }
}
