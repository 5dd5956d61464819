//! What `/proc/PID/status` tells of who a process is.

use std::{fs::File, io::Read as _};

/// More than the kernel writes there, even with hundreds of groups.
const LIMIT: u64 = 64 << 10;

/// Who a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its real user id on the host.
    pub uid: Option<u32>,
    /// Its effective user id on the host.
    pub effective: Option<u32>,
    /// Its id in its own PID namespace, where that is another than ours.
    pub container_pid: Option<u32>,
}

impl Status {
    /// Reads it; nothing is known of a process that is gone.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let mut bytes = Vec::new();
        let read = File::open(format!("/proc/{pid}/status"))
            .and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
        if read.is_ok() {
            // The name in it may be anything: the kernel cuts it at 15 bytes, be that within a letter.
            Self::parse(&String::from_utf8_lossy(&bytes))
        } else {
            Self::default()
        }
    }

    fn parse(text: &str) -> Self {
        let field = |name| text.lines().find_map(|line| line.strip_prefix(name));
        let number = |text: &str| text.parse().ok();
        Self {
            // Real, effective, saved, file system.
            uid: field("Uid:").and_then(|ids| number(ids.split_whitespace().next()?)),
            effective: field("Uid:").and_then(|ids| number(ids.split_whitespace().nth(1)?)),
            // From our own namespace, which is that of the /proc we read, inwards.
            container_pid: field("NSpid:").and_then(|ids| {
                let ids = ids.split_whitespace().skip(1);
                number(ids.last()?)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes sure that the user and the innermost process id are read as proc_pid_status(5) has them.
    #[test]
    fn who_it_is() {
        let text = "Name:\tpython3\nUid:\t1000\t0\t0\t0\nNSpid:\t4711\t17\t1\nNSsid:\t1\t1\t1\n";
        let status = Status::parse(text);
        assert_eq!((status.uid, status.effective), (Some(1000), Some(0)));
        assert_eq!(status.container_pid, Some(1));
        let own_namespace = Status::parse("NSpid:\t4711\n");
        assert_eq!(own_namespace.container_pid, None);
        // Before Linux 4.1.
        assert_eq!(Status::parse("Name:\tx\n"), Status::default());
    }

    /// Makes sure that a thread whose name was cut within a letter is known like any other.
    #[test]
    fn a_name_that_is_no_text() {
        let known = std::thread::spawn(|| {
            // SAFETY: the kernel copies a name that ends with a zero byte; gettid has no preconditions.
            let tid = unsafe {
                libc::prctl(libc::PR_SET_NAME, c"bestellung-f\xc3".as_ptr());
                libc::gettid()
            };
            Status::of(tid.cast_unsigned())
        });
        assert!(known.join().unwrap().uid.is_some());
    }

    proptest! {
        /// Makes sure that no text makes the parsers panic.
        #[test]
        fn any_text_is_taken(text in any::<String>(), ids in "[ \t0-9-]{0,40}") {
            let _ = Status::parse(&text);
            let _ = Status::parse(&format!("Uid:{ids}\nNSpid:{ids}\n"));
        }
    }
}
