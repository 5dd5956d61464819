//! How container runtimes name cgroups.

use super::{Runtime, systemd};

/// Where in a path a name stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place<'a> {
    parent: &'a str,
    /// Below `/ecs`, where the ECS agent puts its tasks.
    is_in_ecs: bool,
}

impl<'a> Place<'a> {
    /// One level further down.
    pub(super) fn below(self, name: &'a str) -> Self {
        Self {
            parent: name,
            // On EKS a whole Kubernetes node is a task's container.
            is_in_ecs: name == "ecs" || (self.is_in_ecs && !is_fargate_id(name)),
        }
    }
}

/// Whether a container begins at a name, which (full id or name), and what made it. `child` is what follows.
pub(super) fn container(
    place: Place<'_>,
    name: &str,
    child: Option<&str>,
) -> Option<(Option<Runtime>, String)> {
    let stem = name.strip_suffix(".scope").unwrap_or(name);
    if is_id(stem) {
        return match place.parent {
            "docker" => Some((Some(Runtime::Docker), stem.to_owned())),
            // A pod with its containers below.
            "libpod_parent" => None,
            // The ECS agent runs everything by Docker.
            _ if place.is_in_ecs => Some((Some(Runtime::Docker), stem.to_owned())),
            // `/kubepods/.../ID` may be Docker's as well as containerd's, `--cgroup-parent` anybody's.
            _ => Some((None, stem.to_owned())),
        };
    }
    if let Some((runtime, id)) = prefixed(stem) {
        return Some((Some(runtime), id.to_owned()));
    }
    if place.is_in_ecs && is_fargate_id(name) {
        return Some((Some(Runtime::Ecs), name.to_owned()));
    }
    lxc(place, name)
        .map(|name| (Some(Runtime::Lxc), name.to_owned()))
        .or_else(|| machine(name, child))
}

/// The pod that begins at a name.
pub(super) fn pod(place: Place<'_>, name: &str) -> Option<String> {
    // A container runtime that was configured for plain cgroups and is asked for systemd's makes
    // `SLICE:PREFIX:ID` one name.
    let slice = name.split(':').next()?;
    if let Some(stem) = slice.strip_suffix(".slice") {
        if let Some((above, uid)) = stem.rsplit_once("-pod")
            && ["kubepods", "kubepods-burstable", "kubepods-besteffort"]
                .iter()
                .any(|class| above.ends_with(class))
        {
            let uid = uid.replace('_', "-");
            return is_uid(&uid).then_some(uid);
        }
        if let Some((_, id)) = stem.rsplit_once("libpod_pod_") {
            return is_id(id).then(|| id.to_owned());
        }
        return stem
            .strip_prefix("ecstasks-")
            .filter(|task| is_uid(task))
            .map(str::to_owned);
    }
    if let Some(uid) = name.strip_prefix("pod").filter(|uid| is_uid(uid)) {
        return Some(uid.to_owned());
    }
    let is_pod =
        (place.parent == "libpod_parent" && is_id(name)) || (place.is_in_ecs && is_uid(name));
    is_pod.then(|| name.to_owned())
}

/// `docker-ID`, and `SLICE:cri-containerd:ID`.
fn prefixed(stem: &str) -> Option<(Runtime, &str)> {
    let (prefix, id) = stem.rsplit_once(['-', ':'])?;
    if !is_id(id) {
        return None;
    }
    let prefix = prefix.rsplit_once(':').map_or(prefix, |(_, prefix)| prefix);
    let runtime = match prefix {
        "docker" => Runtime::Docker,
        // The second where Podman runs inside a systemd unit and splits its cgroup (--cgroups=split).
        "libpod" | "libpod-payload" => Runtime::Podman,
        "cri-containerd" | "nerdctl" => Runtime::Containerd,
        "crio" => Runtime::CriO,
        // Not the monitors of containers, `libpod-conmon-ID` and `crio-conmon-ID`.
        _ => return None,
    };
    Some((runtime, id))
}

/// `/lxc/NAME`, `/lxc.payload/NAME` and `/lxc.payload.NAME`, but not the monitors (`lxc.monitor`) beside them.
fn lxc<'a>(place: Place<'_>, name: &'a str) -> Option<&'a str> {
    if matches!(place.parent, "lxc" | "lxc.payload") {
        return Some(name);
    }
    name.strip_prefix("lxc.payload.")
        .filter(|name| !name.is_empty())
}

/// A machine of systemd's: `machine-NAME.scope`, or `systemd-nspawn@NAME.service`.
fn machine(name: &str, child: Option<&str>) -> Option<(Option<Runtime>, String)> {
    let escaped = match name.strip_prefix("systemd-nspawn@") {
        Some(instance) => instance.strip_suffix(".service")?,
        None => name.strip_prefix("machine-")?.strip_suffix(".scope")?,
    };
    // nspawn itself, outside of what it contains.
    if escaped.is_empty() || child == Some("supervisor") {
        return None;
    }
    let machine = systemd::unescape(escaped);
    // libvirt calls its machines DRIVER-NUMBER-NAME.
    match machine.splitn(3, '-').collect::<Vec<_>>()[..] {
        [driver, number, name] if number.parse::<u32>().is_ok() => match driver {
            "lxc" => Some((Some(Runtime::Lxc), name.to_owned())),
            // Virtual machines.
            "qemu" | "ch" | "xen" => None,
            _ => Some((Some(Runtime::SystemdNspawn), machine)),
        },
        _ => Some((Some(Runtime::SystemdNspawn), machine)),
    }
}

/// The ids of Docker, Podman, containerd and CRI-O: 64 hexadecimal digits.
pub(in crate::host) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_hex)
}

/// A UUID, or one without its dashes: Kubernetes takes the hash of their manifest for pods that do not come
/// from its API, ECS numbers tasks so.
fn is_uid(text: &str) -> bool {
    match text.len() {
        32 => text.bytes().all(is_hex),
        36 => text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => is_hex(byte),
        }),
        _ => false,
    }
}

/// TASK-NUMBER
fn is_fargate_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(task, number)| {
        task.len() == 32
            && task.bytes().all(is_hex)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

const fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
