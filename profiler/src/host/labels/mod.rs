//! What a path in the cgroup tree tells: the container and its runtime, the pod, the systemd unit and slice.
//!
//! A pure function over text that comes from outside: whoever may create cgroups, be it inside a container,
//! chooses names. What does not look as the runtimes and systemd write it is no label.

mod container;
mod systemd;
#[cfg(test)]
mod tests;

use std::fmt;

pub(super) use self::container::is_id;
use self::{container::Place, systemd::Unit};

/// What made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Runtime {
    /// Docker Engine, also below Kubernetes and ECS.
    Docker,
    /// Podman.
    Podman,
    /// containerd: through its Kubernetes interface, or nerdctl.
    Containerd,
    /// CRI-O.
    CriO,
    /// systemd-nspawn.
    SystemdNspawn,
    /// LXC, LXD and Incus, and libvirt's driver of that name.
    Lxc,
    /// AWS's own, of Fargate and of managed instances.
    Ecs,
}

impl Runtime {
    /// Its name in every output; these stay as they are.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::SystemdNspawn => "systemd-nspawn",
            Self::Lxc => "lxc",
            Self::Ecs => "ecs",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a process runs, as far as its cgroup tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// The innermost container: its full id, or its name where the runtime knows containers by names
    /// (systemd-nspawn, LXC).
    pub container: Option<String>,
    /// What made that container, where the path tells.
    pub runtime: Option<Runtime>,
    /// What holds several containers together: the uid of a Kubernetes pod, the id of a Podman pod or of an
    /// ECS task.
    pub pod: Option<String>,
    /// The innermost systemd unit, `nginx.service`. Of scopes only those count that somebody named: neither
    /// a login (`session-3.scope`) nor systemd's own (`init.scope`) nor a container's.
    pub unit: Option<String>,
    /// The slice that this unit or login stands in: `system.slice`, `user-1000.slice`.
    pub slice: Option<String>,
}

impl Labels {
    /// What a path tells, as `/proc/PID/cgroup` has it, of any hierarchy.
    #[must_use]
    pub fn of_cgroup(path: &str) -> Self {
        // The kernel says so of a cgroup that was removed while a process was leaving it (cgroup.c,
        // proc_cgroup_show), and `..` for what is above the root of our own cgroup namespace.
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let mut names = path
            .split('/')
            .filter(|name| !matches!(*name, "" | "." | ".."))
            .peekable();
        let mut labels = Self::default();
        let mut place = Place::default();
        // The slice is the last of the row of slices that leads to the first unit (systemd's
        // cg_path_get_slice): those that a user's own manager makes within its service do not count.
        let mut is_before_unit = true;
        while let Some(name) = names.next() {
            if let Some(pod) = container::pod(place, name) {
                labels.pod = Some(pod);
            }
            let container = container::container(place, name, names.peek().copied());
            let is_container = container.is_some();
            if let Some((runtime, id)) = container {
                labels.container = Some(id);
                labels.runtime = runtime;
            }
            match systemd::unit(name) {
                Some(Unit::Slice(slice)) if is_before_unit => labels.slice = Some(slice.to_owned()),
                Some(Unit::Scope(_)) if is_container => {}
                Some(Unit::Service(unit) | Unit::Scope(unit)) => {
                    is_before_unit = false;
                    labels.unit = Some(unit.to_owned());
                }
                Some(Unit::Nameless) => is_before_unit = false,
                Some(Unit::Slice(_)) | None => {}
            }
            // A container may have a systemd of its own, with slices of its own.
            is_before_unit |= is_container;
            place = place.below(name);
        }
        labels
    }
}
