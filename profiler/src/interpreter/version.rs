//! Versions of CPython.

use std::{fmt, str::FromStr};

/// How far a release has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `a1`, `a2`, ...
    Alpha,
    /// `b1`, `b2`, ...
    Beta,
    /// `rc1`, `rc2`, ...
    Candidate,
    /// The release itself.
    Final,
}

/// A version of CPython, ordered as its releases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    /// 3.
    pub major: u8,
    /// 12 of 3.12.1.
    pub minor: u8,
    /// 1 of 3.12.1.
    pub micro: u8,
    /// Release or pre-release.
    pub level: Level,
    /// 2 of 3.15.0rc2; 0 for a release.
    pub serial: u8,
}

impl PythonVersion {
    /// A release.
    #[must_use]
    pub const fn release(major: u8, minor: u8, micro: u8) -> Self {
        Self {
            major,
            minor,
            micro,
            level: Level::Final,
            serial: 0,
        }
    }

    /// Decodes `PY_VERSION_HEX` (Include/patchlevel.h): one byte each of major, minor and micro, four
    /// bits of level (0xA, 0xB, 0xC, 0xF) and four of serial. Any other number gives `None`.
    #[must_use]
    pub fn from_hex(hex: u64) -> Option<Self> {
        let [0, 0, 0, 0, major, minor, micro, last] = hex.to_be_bytes() else {
            return None;
        };
        let level = match last >> 4 {
            0xA => Level::Alpha,
            0xB => Level::Beta,
            0xC => Level::Candidate,
            0xF => Level::Final,
            _ => return None,
        };
        (major != 0).then_some(Self {
            major,
            minor,
            micro,
            level,
            serial: last & 0xF,
        })
    }

    /// (3, 12) of 3.12.1.
    #[must_use]
    pub const fn feature(self) -> (u8, u8) {
        (self.major, self.minor)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)?;
        match self.level {
            Level::Alpha => write!(f, "a{}", self.serial),
            Level::Beta => write!(f, "b{}", self.serial),
            Level::Candidate => write!(f, "rc{}", self.serial),
            Level::Final => Ok(()),
        }
    }
}

/// Text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAVersion;

impl FromStr for PythonVersion {
    type Err = NotAVersion;

    /// Reads what `PY_VERSION` holds: `3.8.18`, `3.9.0rc1`, `3.9.18+`.
    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let text = text.strip_suffix('+').unwrap_or(text);
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(NotAVersion);
        let (major, minor, rest) = (number(part()?)?, number(part()?)?, part()?);
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (micro, tail) = rest.split_at(digits);
        let (level, serial) = if tail.is_empty() {
            (Level::Final, 0)
        } else if let Some(serial) = tail.strip_prefix("rc") {
            (Level::Candidate, number(serial)?)
        } else if let Some(serial) = tail.strip_prefix('b') {
            (Level::Beta, number(serial)?)
        } else if let Some(serial) = tail.strip_prefix('a') {
            (Level::Alpha, number(serial)?)
        } else {
            return Err(NotAVersion);
        };
        Ok(Self {
            major,
            minor,
            micro: number(micro)?,
            level,
            serial,
        })
    }
}

/// A number without sign, blanks or leading zeroes.
fn number(text: &str) -> Result<u8, NotAVersion> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return Err(NotAVersion);
    }
    text.parse().map_err(|_| NotAVersion)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes sure that the number which interpreters carry is decoded as `sys.hexversion` documents it.
    #[test]
    fn hexadecimal_versions() {
        let text = |hex| PythonVersion::from_hex(hex).map(|version| version.to_string());
        assert_eq!(text(0x030c_01f0).as_deref(), Some("3.12.1"));
        assert_eq!(text(0x030f_00c2).as_deref(), Some("3.15.0rc2"));
        assert_eq!(text(0x0310_00a1).as_deref(), Some("3.16.0a1"));
        assert_eq!(text(0x030c_0100), None);
        assert_eq!(text(0x0001_030c_01f0), None);
        assert_eq!(text(0), None);
    }

    /// Makes sure that version literals read back as they are written, and nothing else passes for one.
    #[test]
    fn literal_versions() {
        for text in ["2.7.18", "3.6.0", "3.9.0rc1", "3.10.0a7", "3.10.0b3"] {
            assert_eq!(
                text.parse::<PythonVersion>().map(|v| v.to_string()),
                Ok(text.to_owned())
            );
        }
        assert_eq!("3.9.18+".parse(), Ok(PythonVersion::release(3, 9, 18)));
        for text in [
            "", "3", "3.9", "3.9.", "3.09.1", "3.9.1x", "3.9.1.2", "3.-9.1", "3.9.999", "3.9.0rc",
        ] {
            assert_eq!(text.parse::<PythonVersion>(), Err(NotAVersion), "{text}");
        }
    }
}
