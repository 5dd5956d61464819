//! The cgroup trees of this host: version 2, and those of version 1's controllers.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::{Component, Path, PathBuf},
};

use profiler_common::filter::of;

use super::mountinfo::Mount;

/// Cgroups that are looked at in a tree at most.
const MOST_CGROUPS: usize = 1 << 16;
/// Levels of a tree that are looked at: the kernel's own limit is far above what anybody makes.
const DEEPEST: usize = 64;

/// A tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its number in /proc/PID/cgroup; 0 is version 2.
    pub number: u32,
    /// How the kernel side is asked for it: [`of::V2`] or [`of::controller`]. None where it has no controller
    /// (`name=systemd`): then the kernel side cannot tell who is in which of its cgroups.
    pub key: Option<u32>,
    /// Its controllers, as /proc/PID/cgroup names them.
    pub controllers: Vec<String>,
    /// Where it is mounted, and which of its cgroups is seen there.
    mounts: Vec<(PathBuf, String)>,
}

/// A cgroup that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path from the root of its tree, as /proc/PID/cgroup has it.
    pub path: String,
    /// How far below the root it is.
    pub level: u32,
    /// Its id: the inode number of its directory.
    pub id: u64,
}

/// A path that is no cgroup's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCgroupPath;

/// All trees.
#[derive(Clone, Debug, Default)]
pub struct Hierarchies(Vec<Hierarchy>);

impl Hierarchies {
    /// Those that this process sees; `subsystem` gives the kernel's number of a controller. Version 2 comes first.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn of_this_process(subsystem: impl Fn(&str) -> Option<u32>) -> io::Result<Self> {
        let mut all: Vec<Hierarchy> = of_process(std::process::id())
            .into_iter()
            .map(|group| Hierarchy {
                number: group.hierarchy,
                key: if group.hierarchy == 0 {
                    Some(of::V2)
                } else {
                    let mut numbers = group.controllers.iter().filter_map(|name| subsystem(name));
                    numbers.next().map(of::controller)
                },
                controllers: group.controllers,
                mounts: Vec::new(),
            })
            .collect();
        all.sort_by_key(|hierarchy| hierarchy.number);
        let mounts = fs::read("/proc/self/mountinfo")?;
        let mounts = String::from_utf8_lossy(&mounts);
        for mount in mounts.lines().filter_map(Mount::read) {
            let hierarchy = match mount.kind {
                "cgroup2" => all.iter_mut().find(|one| one.number == 0),
                "cgroup" => all.iter_mut().find(|one| {
                    let mut controllers = one.controllers.iter();
                    one.number != 0
                        && controllers.all(|name| mount.options.contains(&name.as_str()))
                }),
                _ => None,
            };
            // `..`: above the root of our cgroup namespace, at a level that nobody tells.
            if let Some(hierarchy) = hierarchy
                && !mount.root.contains("..")
            {
                hierarchy.mounts.push((mount.point.into(), mount.root));
            }
        }
        all.retain(|hierarchy| !hierarchy.mounts.is_empty());
        Ok(Self(all))
    }

    /// All of them, version 2 first.
    pub fn iter(&self) -> impl Iterator<Item = &Hierarchy> {
        self.0.iter()
    }

    /// The one with this number.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<&Hierarchy> {
        self.0.iter().find(|hierarchy| hierarchy.number == number)
    }

    /// What a path as a person types it may be: numbers of trees, and the path from the root of each. It is that of
    /// a directory below a mounted tree, be it there yet or not; or what /proc/PID/cgroup shows, of any tree.
    ///
    /// # Errors
    /// Where it has parts that lead up.
    pub fn read(&self, text: &str) -> Result<Vec<(u32, String)>, NoCgroupPath> {
        let path = canonical(Path::new(text));
        let mount = self
            .0
            .iter()
            .flat_map(|one| {
                let number = one.number;
                one.mounts.iter().map(move |mount| (number, mount))
            })
            .filter(|(_, (point, _))| path.starts_with(point))
            .max_by_key(|(_, (point, _))| point.as_os_str().len());
        if let Some((number, (point, root))) = mount
            && let Ok(below) = path.strip_prefix(point)
        {
            return Ok(vec![(number, normal(&Path::new(root).join(below))?)]);
        }
        let path = normal(Path::new(text))?;
        Ok(self
            .0
            .iter()
            .map(|one| (one.number, path.clone()))
            .collect())
    }
}

impl Hierarchy {
    /// How a person knows it.
    #[must_use]
    pub fn name(&self) -> String {
        if self.number == 0 {
            "version 2".into()
        } else {
            self.controllers.join(",")
        }
    }

    /// The cgroup at a path from the root.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<Place> {
        self.directories(path).find_map(|directory| {
            let found = fs::metadata(directory).ok()?;
            found.is_dir().then(|| Place {
                path: path.to_owned(),
                level: level(path),
                id: found.ino(),
            })
        })
    }

    /// The directory of the cgroup at a path from the root, where it has this id.
    #[must_use]
    pub fn open(&self, path: &str, id: u64) -> Option<fs::File> {
        self.directories(path).find_map(|directory| {
            let file = fs::File::open(directory).ok()?;
            let found = file.metadata().ok()?;
            (found.is_dir() && found.ino() == id).then_some(file)
        })
    }

    /// Where a cgroup may be seen.
    fn directories(&self, path: &str) -> impl Iterator<Item = PathBuf> {
        self.mounts.iter().filter_map(move |(point, root)| {
            let below = Path::new(path).strip_prefix(root).ok()?;
            Some(point.join(below))
        })
    }

    /// Walks the tree from the root down; below a cgroup for which `visit` says no, it goes no further.
    pub fn walk(&self, mut visit: impl FnMut(&Place) -> bool) {
        let Some((point, root)) = self.mounts.iter().min_by_key(|(_, root)| root.len()) else {
            return;
        };
        let Some(place) = self.at(root) else {
            return;
        };
        let mut left = MOST_CGROUPS;
        let mut open = vec![(point.clone(), place)];
        while let Some((directory, place)) = open.pop() {
            if left == 0 {
                return;
            }
            left -= 1;
            if !visit(&place) || place.level as usize >= DEEPEST {
                continue;
            }
            // It may be gone by now.
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if entry.file_type().is_ok_and(|kind| kind.is_dir())
                    && let Some(name) = name.to_str()
                {
                    let below = Place {
                        path: format!("{}/{name}", place.path.trim_end_matches('/')),
                        level: place.level + 1,
                        id: entry.ino(),
                    };
                    open.push((entry.path(), below));
                }
            }
        }
    }
}

/// Where a process is in one hierarchy: a line of /proc/PID/cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InHierarchy {
    /// Number of the hierarchy; 0 is version 2.
    pub hierarchy: u32,
    /// Controllers, or `name=systemd`; none of version 2.
    pub controllers: Vec<String>,
    /// Path from the root.
    pub path: String,
}

/// Where a process is; empty where it is gone.
#[must_use]
pub fn of_process(pid: u32) -> Vec<InHierarchy> {
    let text = fs::read(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            let hierarchy = parts.next()?.parse().ok()?;
            let controllers = parts.next()?.split(',');
            Some(InHierarchy {
                hierarchy,
                controllers: controllers
                    .filter(|name| !name.is_empty())
                    .map(ToOwned::to_owned)
                    .collect(),
                path: parts.next()?.to_owned(),
            })
        })
        .collect()
}

/// How far below the root a path is.
#[must_use]
pub fn level(path: &str) -> u32 {
    path.split('/').filter(|name| !name.is_empty()).count() as u32
}

/// The part of a path that leads down to a level; None where it does not lead so far.
#[must_use]
pub fn ancestor(path: &str, wanted: u32) -> Option<&str> {
    if wanted == 0 {
        return Some("/");
    }
    let mut found = 0;
    let mut inside = false;
    for (at, byte) in path.bytes().enumerate() {
        if byte == b'/' {
            if inside && found == wanted {
                return path.get(..at);
            }
            inside = false;
        } else if !inside {
            inside = true;
            found += 1;
        }
    }
    (found == wanted).then_some(path)
}

/// An absolute path without links, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    let mut rest: Vec<&OsStr> = Vec::new();
    let mut existing = path;
    loop {
        if let Ok(found) = existing.canonicalize() {
            return rest.iter().rev().fold(found, |path, name| path.join(name));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name);
                existing = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

/// A path from a root: `/a/b`.
fn normal(path: &Path) -> Result<String, NoCgroupPath> {
    let mut text = String::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => {
                text.push('/');
                text.push_str(name.to_str().ok_or(NoCgroupPath)?);
            }
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(NoCgroupPath),
        }
    }
    if text.is_empty() {
        text.push('/');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees(mount: &Path) -> Hierarchies {
        let tree = |number, key, controllers: &[&str], root: &str| Hierarchy {
            number,
            key,
            controllers: controllers.iter().map(ToString::to_string).collect(),
            mounts: vec![(mount.join(number.to_string()), root.to_owned())],
        };
        Hierarchies(vec![
            tree(0, Some(of::V2), &[], "/"),
            tree(4, Some(of::controller(4)), &["memory"], "/outer"),
        ])
    }

    /// Makes sure that a path is understood as a directory's and as /proc shows it, links followed, whether the
    /// cgroup is there or not.
    #[test]
    fn paths_as_people_type_them() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("0/system.slice/a.service")).unwrap();
        fs::create_dir_all(root.join("4/job")).unwrap();
        std::os::unix::fs::symlink("4", root.join("memory")).unwrap();
        let trees = trees(&root);
        let read = |path: &Path| trees.read(path.to_str().unwrap());
        assert_eq!(
            read(&root.join("0/system.slice/")),
            Ok(vec![(0, "/system.slice".into())])
        );
        assert_eq!(
            read(&root.join("memory/later/on")),
            Ok(vec![(4, "/outer/later/on".into())])
        );
        let both = vec![(0, "/job".to_owned()), (4, "/job".to_owned())];
        assert_eq!(trees.read("/job"), Ok(both.clone()));
        assert_eq!(trees.read("job/"), Ok(both));
        assert_eq!(trees.read("a/../../b"), Err(NoCgroupPath));
        let memory = trees.numbered(4).unwrap();
        let job = memory.at("/outer/job").unwrap();
        assert_eq!(job.level, 2);
        assert_eq!(job.id, fs::metadata(root.join("4/job")).unwrap().ino());
        assert_eq!(memory.at("/job"), None);
        assert!(memory.open("/outer/job", job.id).is_some());
        assert!(memory.open("/outer/job", job.id + 1).is_none());
        let mut seen = Vec::new();
        trees.numbered(0).unwrap().walk(|place| {
            assert_eq!(
                trees.numbered(0).unwrap().at(&place.path).as_ref(),
                Some(place)
            );
            seen.push(place.path.clone());
            place.path != "/system.slice"
        });
        assert_eq!(seen, ["/", "/system.slice"]);
    }

    /// Makes sure that ancestors are cut off at names, not within them.
    #[test]
    fn ancestors() {
        let of = |wanted| ancestor("/a/bb/c", wanted);
        assert_eq!(
            [of(0), of(1), of(2), of(3), of(4)],
            [Some("/"), Some("/a"), Some("/a/bb"), Some("/a/bb/c"), None]
        );
        assert_eq!((ancestor("/", 0), ancestor("/", 1)), (Some("/"), None));
        assert_eq!((level("/"), level("/a/bb")), (0, 2));
    }

    /// Makes sure that this machine's trees are seen where it has any.
    #[test]
    fn trees_of_this_machine() {
        let trees = Hierarchies::of_this_process(|_| Some(1)).unwrap();
        for tree in trees.iter() {
            let root = tree.at("/").expect("it is mounted");
            assert_eq!(root.level, 0);
        }
    }
}
