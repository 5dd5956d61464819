//! The version of an interpreter that does not carry it as a number: up to 3.10 there is only the string
//! `PY_VERSION`, which `Py_GetVersion` prints, and paths that contain `python3.N`.

use std::{collections::BTreeSet, str};

use super::version::PythonVersion;

/// The longest version that is looked for (bytes): `3.10.12rc1+`.
const LONGEST: usize = 12;

/// Finds the version, of which `plausible` says whether it can be meant, in the constants of a file.
///
/// The compiler may let one string end another (`/opt/python/3.8.18` and `3.8.18`), so that only the end of
/// the string counts. Other libraries have versions too: what is found must also be named by a path.
///
/// # Errors
/// Where there is none, or more than one: every candidate.
pub fn find(
    constants: &[u8],
    plausible: impl Fn(PythonVersion) -> bool,
) -> Result<PythonVersion, Vec<PythonVersion>> {
    let named = |version: &PythonVersion| {
        let path = format!("python{}.{}", version.major, version.minor);
        memchr::memmem::find_iter(constants, path.as_bytes()).any(|begin| {
            !constants
                .get(begin + path.len())
                .is_some_and(u8::is_ascii_digit)
        })
    };
    let candidates: BTreeSet<PythonVersion> = memchr::memchr_iter(0, constants)
        .filter_map(|end| ending(&constants[..end]))
        .filter(|version| plausible(*version))
        .collect();
    let candidates: Vec<PythonVersion> = candidates.into_iter().filter(named).collect();
    match candidates.as_slice() {
        [version] => Ok(*version),
        _ => Err(candidates),
    }
}

/// The version with which a string ends.
fn ending(text: &[u8]) -> Option<PythonVersion> {
    if !text
        .last()
        .is_some_and(|last| last.is_ascii_digit() || *last == b'+')
    {
        return None;
    }
    let tail = &text[text.len().saturating_sub(LONGEST)..];
    let of_version = |byte: &u8| byte.is_ascii_digit() || b".abrc+".contains(byte);
    let begin = tail
        .iter()
        .rposition(|byte| !of_version(byte))
        .map_or(0, |at| at + 1);
    // What may stand before the version is no digit and no dot, but may be a letter that occurs in one.
    let digits = tail[begin..].iter().position(u8::is_ascii_digit)?;
    str::from_utf8(&tail[begin + digits..]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(_: PythonVersion) -> bool {
        true
    }

    /// Makes sure that the version is found alone and as the end of another string.
    #[test]
    fn finds_the_literal() {
        let version = PythonVersion::release(3, 8, 18);
        assert_eq!(find(b"\x003.8.18\0lib/python3.8\0", any), Ok(version));
        assert_eq!(find(b"/opt/3.8.18\0lib/python3.8/x\0", any), Ok(version));
        assert_eq!(find(b"Python-abc3.8.18\0lib/python3.8\0", any), Ok(version));
    }

    /// Makes sure that other libraries' versions do not count, and that doubt is no answer.
    #[test]
    fn doubt_is_no_answer() {
        let version = PythonVersion::release(3, 8, 18);
        assert_eq!(
            find(b"3.8.18\x003.40.1\x001.2.13\0/lib/python3.8\0", any),
            Ok(version)
        );
        assert_eq!(find(b"3.8.18\0", any), Err(vec![]));
        assert_eq!(find(b"3.8.18\0python3.80\0", any), Err(vec![]));
        assert_eq!(
            find(b"13.8.18\0GLIBC_2.3.8.18\0python3.8\0", any),
            Err(vec![])
        );
        let two = find(b"3.8.18\x003.8.17\0python3.8\0", any);
        assert_eq!(two.map_err(|all| all.len()), Err(2));
        let newer = |version: PythonVersion| version.minor > 8;
        assert_eq!(
            find(b"3.8.18\x003.9.1\0python3.8 python3.9\0", newer),
            Ok(PythonVersion::release(3, 9, 1))
        );
    }
}
