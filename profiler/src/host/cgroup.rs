//! Which of the cgroups of a process says most about it.

use std::cmp::Reverse;

use super::labels::Labels;

/// Of a process's paths in the cgroup hierarchies, given with the hierarchy's number (0: version 2), the one
/// that tells most, and what it tells.
///
/// Runtimes put containers into hierarchies of version 1, into that of version 2, or into both, by the
/// host's age and set-up; a hierarchy that none of them manages shows the root. On hybrid hosts one may show
/// more of the same path than another (an init inside a container delegates some hierarchies only).
#[must_use]
pub fn most_telling<'a>(
    paths: impl IntoIterator<Item = (u32, &'a str)>,
) -> Option<(&'a str, Labels)> {
    paths
        .into_iter()
        .map(|(hierarchy, path)| (hierarchy, path, Labels::of_cgroup(path)))
        .max_by_key(|(hierarchy, path, labels)| {
            (
                labels.container.is_some(),
                labels.unit.is_some(),
                labels.slice.is_some(),
                depth(path),
                Reverse(*hierarchy),
            )
        })
        .map(|(_, path, labels)| (path, labels))
}

/// Levels below the root that we see; what is above the root of our cgroup namespace (`/..`) tells nothing.
fn depth(path: &str) -> usize {
    path.split('/')
        .filter(|name| !matches!(*name, "" | ".."))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(file: &str) -> (String, Labels) {
        let lines = file.lines().map(|line| {
            let mut parts = line.trim().splitn(3, ':');
            let hierarchy = parts.next().unwrap().parse().unwrap();
            (hierarchy, parts.nth(1).unwrap())
        });
        let (path, labels) = most_telling(lines).unwrap();
        (path.to_owned(), labels)
    }

    /// Makes sure that a container is found in whichever hierarchy shows it.
    #[test]
    fn a_container_in_any_hierarchy() {
        // Podman with runc on a host with both versions mounted: version 2 is left alone.
        let id = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
        let (path, labels) = chosen(&format!(
            "9:name=systemd:/user.slice/user-0.slice/session-1.scope
             8:pids:/libpod_parent/libpod-{id}
             4:memory:/libpod_parent/libpod-{id}
             0::/"
        ));
        assert_eq!(path, format!("/libpod_parent/libpod-{id}"));
        assert_eq!(labels.container.as_deref(), Some(id));
        // DataDog/dd-trace-rb issue 6051: version 2 stops short of it.
        let (_, labels) = chosen(
            "12:pids:/ecs/0c7d9b9350cd4c7e97ddbf5becfd6f22/0c7d9b9350cd4c7e97ddbf5becfd6f22-3057940393/kubepods/podb820dc31-db91-45b0-b920-d04f63e6400f/b33dd7f9fe94f384574f5d69e73d9618920578c2b5b2ff820934b741c57382f4
             0::/ecs/0c7d9b9350cd4c7e97ddbf5becfd6f22/0c7d9b9350cd4c7e97ddbf5becfd6f22-3057940393",
        );
        assert_eq!(
            labels.container.as_deref(),
            Some("b33dd7f9fe94f384574f5d69e73d9618920578c2b5b2ff820934b741c57382f4")
        );
    }

    /// Makes sure that a unit beats a mere slice, that version 2 is taken where all say the same, and that the
    /// root is better than nothing.
    #[test]
    fn more_is_better() {
        let (path, _) = chosen(
            "5:devices:/system.slice
             1:name=systemd:/system.slice/cron.service
             0::/system.slice/cron.service",
        );
        assert_eq!(path, "/system.slice/cron.service");
        assert_eq!(chosen("4:cpu:/\n0::/").0, "/");
        assert_eq!(chosen("4:memory:/jobs/nightly\n0::/").0, "/jobs/nightly");
        assert!(most_telling([]).is_none());
    }

    /// Makes sure that a path from outside of our own cgroup namespace still tells its container.
    #[test]
    fn above_our_namespace() {
        let (_, labels) = chosen(
            "0::/../cri-containerd-aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9.scope",
        );
        assert!(labels.container.is_some());
    }
}
