//! What /proc tells of mounts.

/// A line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
pub(super) struct Mount<'a> {
    /// The type of the file system.
    pub kind: &'a str,
    /// Which of its directories is seen there.
    pub root: String,
    /// Where.
    pub point: String,
    /// The options of the file system itself.
    pub options: Vec<&'a str>,
}

impl<'a> Mount<'a> {
    /// Reads a line; None where it has not the form.
    pub fn read(line: &'a str) -> Option<Self> {
        let (here, super_block) = line.split_once(" - ")?;
        let mut here = here.split(' ').skip(3);
        let mut super_block = super_block.split(' ');
        Some(Self {
            root: unescaped(here.next()?),
            point: unescaped(here.next()?),
            kind: super_block.next()?,
            options: super_block.nth(1)?.split(',').collect(),
        })
    }
}

/// Blanks, tabs, line ends and backslashes come as a backslash and three octal digits.
fn unescaped(text: &str) -> String {
    text.replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\012", "\n")
        .replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that mounts are read as the kernel writes them, with optional fields and escapes.
    #[test]
    fn mounts() {
        let line = r"36 35 98:0 /a\040b /mnt\134x rw,noatime shared:1 master:2 - cgroup none rw,cpu,name=x";
        let mount = Mount::read(line).unwrap();
        assert_eq!(
            (mount.kind, mount.root.as_str(), mount.point.as_str()),
            ("cgroup", "/a b", "/mnt\\x")
        );
        assert_eq!(mount.options, ["rw", "cpu", "name=x"]);
        assert!(Mount::read("36 35 98:0 / /mnt rw").is_none());
    }
}
