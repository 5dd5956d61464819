//! What a code object's file name tells: whose code it is, and how to name it briefly.

/// Whose code a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// The program's own, or unknown.
    Own,
    /// Python's standard library.
    StandardLibrary,
    /// Installed packages.
    Package,
}

/// Whose code it is.
pub(super) fn origin(file: &str) -> Origin {
    match split(file) {
        Place::Package(_) => Origin::Package,
        Place::StandardLibrary(_) | Place::Frozen => Origin::StandardLibrary,
        Place::Other => Origin::Own,
    }
}

/// A file name short enough for a frame and long enough to know the file by:
/// what follows `site-packages/`, `dist-packages/` or the standard library's folder, the last two components of
/// any other absolute path, and everything else (`<string>`, `<frozen runpy>`, relative paths) as it is.
pub(super) fn shorten(file: &str) -> &str {
    match split(file) {
        Place::Package(rest) | Place::StandardLibrary(rest) => rest,
        Place::Other if file.starts_with('/') => last_two_components(file),
        Place::Other | Place::Frozen => file,
    }
}

enum Place<'a> {
    Package(&'a str),
    StandardLibrary(&'a str),
    Frozen,
    Other,
}

fn split(file: &str) -> Place<'_> {
    if file.starts_with("<frozen ") {
        return Place::Frozen;
    }
    // The last such folder counts: a virtual environment may lie inside another installation.
    let mut place = Place::Other;
    let mut before = "";
    let mut start = 0;
    for (slash, _) in file.match_indices('/') {
        let folder = &file[start..slash];
        let rest = &file[slash + 1..];
        if folder == "site-packages" || folder == "dist-packages" {
            place = Place::Package(rest);
        } else if is_standard_library(before, folder) {
            place = Place::StandardLibrary(rest);
        }
        before = folder;
        start = slash + 1;
    }
    match place {
        Place::Package("") | Place::StandardLibrary("") => Place::Other,
        place => place,
    }
}

/// `lib/python3.12`, `lib64/python3.13t`, or the archive `python312.zip` (CPython's Modules/getpath.py).
fn is_standard_library(parent: &str, folder: &str) -> bool {
    let Some(version) = folder.strip_prefix("python") else {
        return false;
    };
    if let Some(version) = version.strip_suffix(".zip") {
        return !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    }
    parent.starts_with("lib")
        && version.strip_prefix("3.").is_some_and(|minor| {
            minor.starts_with(|c: char| c.is_ascii_digit())
                && minor.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

fn last_two_components(file: &str) -> &str {
    let mut slashes = file.rmatch_indices('/');
    let _ = slashes.next();
    match slashes.next() {
        Some((slash, _)) => &file[slash + 1..],
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Makes sure that the places where Python code lives are told apart and named as a person would name them.
    #[test]
    fn files_are_recognised() {
        use Origin::{Own, Package, StandardLibrary};
        for (file, short, whose) in [
            (
                "/usr/lib/python3.11/json/decoder.py",
                "json/decoder.py",
                StandardLibrary,
            ),
            ("/usr/lib64/python3.13t/ast.py", "ast.py", StandardLibrary),
            (
                "/root/.pyenv/versions/3.8.18/lib/python3.8/threading.py",
                "threading.py",
                StandardLibrary,
            ),
            ("/usr/lib/python312.zip/os.py", "os.py", StandardLibrary),
            (
                "<frozen importlib._bootstrap>",
                "<frozen importlib._bootstrap>",
                StandardLibrary,
            ),
            (
                "/v/lib/python3.12/site-packages/pandas/core/frame.py",
                "pandas/core/frame.py",
                Package,
            ),
            (
                "/usr/lib/python3/dist-packages/yaml/__init__.py",
                "yaml/__init__.py",
                Package,
            ),
            // A program in a folder that is called like the library's is no library.
            ("/srv/lib/python3/app.py", "python3/app.py", Own),
            ("/srv/python3.12/app.py", "python3.12/app.py", Own),
            ("/srv/shop/orders/cart.py", "orders/cart.py", Own),
            ("/app.py", "/app.py", Own),
            ("app.py", "app.py", Own),
            (
                "examples/deep/er/flights.py",
                "examples/deep/er/flights.py",
                Own,
            ),
            ("<string>", "<string>", Own),
            ("", "", Own),
            ("/v/site-packages/", "site-packages/", Own),
        ] {
            assert_eq!(shorten(file), short, "{file}");
            assert_eq!(origin(file), whose, "{file}");
        }
    }

    proptest! {
        /// Makes sure that a short name is the end of the long one and never empty, whatever the name.
        #[test]
        fn a_short_name_ends_the_long_one(file in "[/a-z.3 ⚙-]{0,12}(lib/python3.9/|/site-packages/)?[/a-z.\u{e9}]{0,9}") {
            prop_assert!(file.ends_with(shorten(&file)));
            prop_assert_eq!(shorten(&file).is_empty(), file.is_empty());
        }
    }
}
