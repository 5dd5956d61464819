//! The executable file mappings of a process, from /proc/PID/maps.

use std::io::{self, BufRead};

use super::cache::FileId;

/// How much of a process's map is read (bytes): a process with more than half a million mappings is cut short.
const LIMIT: u64 = 64 << 20;
/// How many executable file mappings are kept; a large desktop program has some hundred.
const MAPPINGS: usize = 4096;

/// A part of a file that is mapped executable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Where in the file it begins (bytes).
    pub offset: u64,
    /// The file.
    pub file: FileId,
    /// Its path as the kernel prints it: "\n" is written `\012`, and ` (deleted)` may follow.
    pub path: String,
}

/// Reads the executable file mappings, in the order of their addresses. What is no line of a map is passed over.
///
/// # Errors
/// Where the map cannot be read.
pub fn executable(map: impl BufRead) -> io::Result<Vec<Mapping>> {
    let mut map = map.take(LIMIT);
    let mut mappings = Vec::new();
    let mut line = Vec::new();
    while mappings.len() < MAPPINGS {
        line.clear();
        if map.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        mappings.extend(parse(&String::from_utf8_lossy(&line)));
    }
    Ok(mappings)
}

/// One line: `start-end perms offset major:minor inode   path`.
fn parse(line: &str) -> Option<Mapping> {
    let mut rest = line.trim_end_matches('\n');
    let mut field = || {
        let (field, after) = rest
            .trim_start_matches(' ')
            .split_once(' ')
            .unwrap_or((rest, ""));
        rest = after;
        field
    };
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = field().split_once('-')?;
    if field().as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let offset = hex(field())?;
    let (major, minor) = field().split_once(':')?;
    let device = (
        u32::from_str_radix(major, 16).ok()?,
        u32::from_str_radix(minor, 16).ok()?,
    );
    let inode = field().parse().ok().filter(|inode| *inode != 0)?;
    Some(Mapping {
        start: hex(start)?,
        end: hex(end)?,
        offset,
        file: FileId { device, inode },
        path: rest.trim_start_matches(' ').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes sure that executable file mappings are read as proc_pid_maps(5) describes them, and no others.
    #[test]
    fn lines_of_a_map() {
        let map = b"00400000-00452000 r-xp 00001000 08:02 173521      /usr/bin/my prog\n\
            00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/my prog\n\
            7f0000000000-7f0000001000 r-xp 00000000 00:00 0          [vdso]\n\
            7f0000100000-7f0000200000 rwxp 00000000 00:00 0 \n\
            7f0000200000-7f0000201000 r-xp 00000000 fe:10 9 /lib/x\\012y.so (deleted)\n\
            nonsense\n";
        let mappings = executable(&map[..]).expect("a readable map");
        assert_eq!(
            mappings,
            [
                Mapping {
                    start: 0x40_0000,
                    end: 0x45_2000,
                    offset: 0x1000,
                    file: FileId {
                        device: (8, 2),
                        inode: 173_521
                    },
                    path: "/usr/bin/my prog".to_owned(),
                },
                Mapping {
                    start: 0x7f00_0020_0000,
                    end: 0x7f00_0020_1000,
                    offset: 0,
                    file: FileId {
                        device: (0xfe, 0x10),
                        inode: 9
                    },
                    path: "/lib/x\\012y.so (deleted)".to_owned(),
                },
            ]
        );
    }

    proptest! {
        /// Makes sure that no text, however strange, is more than mappings or nothing.
        #[test]
        fn any_text(text in "([0-9a-f]{0,20}-?[0-9a-f]{0,20} [r-]w?x?p? ?[0-9a-f:]{0,20} .{0,20}\n?){0,5}") {
            let _ = executable(text.as_bytes());
        }
    }
}
