//! Paths as they were met in the world, each with where it is from.

use proptest::prelude::*;

use super::{Labels, Runtime};

/// Container, runtime, pod, unit, slice; empty where there is none.
type Expected<'a> = (&'a str, Option<Runtime>, &'a str, &'a str, &'a str);

fn check(path: &str, expected: Expected<'_>) {
    let labels = Labels::of_cgroup(path);
    let seen = |label: &Option<String>| label.clone().unwrap_or_default();
    assert_eq!(
        (
            &*seen(&labels.container),
            labels.runtime,
            &*seen(&labels.pod),
            &*seen(&labels.unit),
            &*seen(&labels.slice),
        ),
        expected,
        "{path}"
    );
}

const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const INNER: &str = "57353a2ab1bd38bc5b00500bd4dc9795b6bf0e6e3a15479c474ccb3be605cef8";

/// Makes sure that Docker's containers are known under both of its cgroup drivers, as root and as a user.
#[test]
fn docker() {
    let docker = Some(Runtime::Docker);
    // https://docs.docker.com/engine/containers/runmetrics/ (cgroupfs driver)
    check(&format!("/docker/{ID}"), (ID, docker, "", "", ""));
    // neuvector/neuvector, share/system/cgroup_test.go (TestDockerIDCentOS)
    check(
        &format!("/system.slice/docker-{ID}.scope"),
        (ID, docker, "", "", "system.slice"),
    );
    // https://docs.docker.com/engine/security/rootless/ : its daemon is a service of the user's
    check(
        &format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"),
        (ID, docker, "", "user@1000.service", "user-1000.slice"),
    );
    // Seen from within a cgroup namespace on a host of the first kind (cgroup_namespaces(7)).
    check(&format!("/../{ID}"), (ID, None, "", "", ""));
    // neuvector/neuvector, share/system/cgroup_test.go (TestDockerIDDebian)
    check(&format!("/{ID}"), (ID, None, "", "", ""));
    // BuildKit's steps inside the daemon are no containers that anybody could name.
    check(
        "/docker/buildkit/lzy0e1g8yw9rcbwrkyzkvr8zg",
        ("", None, "", "", ""),
    );
}

/// Makes sure that Podman's containers and pods are known, and that what watches them is not taken for them.
#[test]
fn podman() {
    let podman = Some(Runtime::Podman);
    // containers/podman issue 826 (cgroupfs)
    check(
        &format!("/libpod_parent/libpod-{ID}"),
        (ID, podman, "", "", ""),
    );
    // libpod/runtime_pod_linux.go: a pod's cgroup by the cgroupfs manager
    check(
        &format!("/libpod_parent/{ID}/libpod-{INNER}"),
        (INNER, podman, ID, "", ""),
    );
    // containers/podman pull request 507
    check(
        &format!("/machine.slice/libpod-{ID}.scope"),
        (ID, podman, "", "", "machine.slice"),
    );
    check(
        &format!("/machine.slice/libpod-conmon-{ID}.scope"),
        (
            "",
            None,
            "",
            &format!("libpod-conmon-{ID}.scope"),
            "machine.slice",
        ),
    );
    // containers/podman issue 13673: crun's child, a pod, and --cgroups=split
    check(
        &format!("/machine.slice/machine-libpod_pod_{ID}.slice/libpod-{INNER}.scope/container"),
        (
            INNER,
            podman,
            ID,
            "",
            &format!("machine-libpod_pod_{ID}.slice"),
        ),
    );
    check(
        &format!("/srv.slice/container-homeassistant.service/libpod-payload-{ID}"),
        (
            ID,
            podman,
            "",
            "container-homeassistant.service",
            "srv.slice",
        ),
    );
    check(
        "/srv.slice/container-homeassistant.service/runtime",
        ("", None, "", "container-homeassistant.service", "srv.slice"),
    );
    // containers/podman pull request 4639 (rootless)
    check(
        &format!(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"
        ),
        (ID, podman, "", "user@1000.service", "user-1000.slice"),
    );
}

/// Makes sure that containers of Kubernetes are known with their pods, under either cgroup driver of every runtime.
#[test]
fn kubernetes() {
    // kubernetes/kubernetes issue 106514, both
    check(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2fc932ce_fdcc_454b_97bd_aadfdeb4c340.slice/cri-containerd-aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9.scope",
        (
            "aaefb9d8feed2d453b543f6d928cede7a4dbefa6a0ae7c9b990dd234c56e93b9",
            Some(Runtime::Containerd),
            "2fc932ce-fdcc-454b-97bd-aadfdeb4c340",
            "",
            "kubepods-burstable-pod2fc932ce_fdcc_454b_97bd_aadfdeb4c340.slice",
        ),
    );
    check(
        "/system.slice/containerd.service/kubepods-burstable-pod36b6d6be73b1065af369b3985edafa09.slice:cri-containerd:79fedb3bd23ca77c9d9ccb41909038316f713df22b54b7d942b71d3812e7c74e",
        (
            "79fedb3bd23ca77c9d9ccb41909038316f713df22b54b7d942b71d3812e7c74e",
            Some(Runtime::Containerd),
            "36b6d6be73b1065af369b3985edafa09",
            "containerd.service",
            "system.slice",
        ),
    );
    // containerd/containerd issue 4857: a static pod, whose uid is a hash
    check(
        "/kubepods/burstable/pod89f4f2cb511c3b0b7e5272cff5ec37bf/823b5a6d9aaa8da5c0ecda3e7cbcd6729673437965dc600ffcb0a2651960f945",
        (
            "823b5a6d9aaa8da5c0ecda3e7cbcd6729673437965dc600ffcb0a2651960f945",
            None,
            "89f4f2cb511c3b0b7e5272cff5ec37bf",
            "",
            "",
        ),
    );
    // cri-o/cri-o issue 842: Docker below Kubernetes, either driver
    check(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod90d81341_92de_11e7_8cf2_507b9d4141fa.slice/docker-2227daf62df6694645fee5df53c1f91271546a9560e8600a525690ae252b7f63.scope",
        (
            "2227daf62df6694645fee5df53c1f91271546a9560e8600a525690ae252b7f63",
            Some(Runtime::Docker),
            "90d81341-92de-11e7-8cf2-507b9d4141fa",
            "",
            "kubepods-burstable-pod90d81341_92de_11e7_8cf2_507b9d4141fa.slice",
        ),
    );
    check(
        "/kubepods/burstable/pod941dc160-92df-11e7-b27e-507b9d4141fa/2b4d747eae5ed34775c069d913c81833b67a0148e731a36535c9f3b97ebfb87f",
        (
            "2b4d747eae5ed34775c069d913c81833b67a0148e731a36535c9f3b97ebfb87f",
            None,
            "941dc160-92df-11e7-b27e-507b9d4141fa",
            "",
            "",
        ),
    );
    // kubernetes/minikube issue 11280: CRI-O inside Docker; a pod of the guaranteed class has none in its name
    check(
        &format!(
            "/docker/d6701ec289c56e4391acb11d07474b3139466857a305490575508a8b7a9fcf22/kubepods.slice/kubepods-pod2ca4a155_3599_498d_bb9d_4446693fa3ea.slice/crio-{ID}.scope"
        ),
        (
            ID,
            Some(Runtime::CriO),
            "2ca4a155-3599-498d-bb9d-4446693fa3ea",
            "",
            "kubepods-pod2ca4a155_3599_498d_bb9d_4446693fa3ea.slice",
        ),
    );
    // falcosecurity/plugins pull request 1378
    check(
        &format!("/system.slice/nerdctl-{ID}.scope"),
        (ID, Some(Runtime::Containerd), "", "", "system.slice"),
    );
}

/// Makes sure that tasks of ECS are known on EC2, on Fargate, and on Fargate below Kubernetes.
#[test]
fn ecs() {
    let (docker, ecs) = (Some(Runtime::Docker), Some(Runtime::Ecs));
    // DataDog/dd-trace-dotnet pull request 1286
    check(
        "/ecs/55091c13-b8cf-4801-b527-f4601742204d/432624d2150b349fe35ba397284dea788c2bf66b885d14dfc1569b01890ca7da",
        (
            "432624d2150b349fe35ba397284dea788c2bf66b885d14dfc1569b01890ca7da",
            docker,
            "55091c13-b8cf-4801-b527-f4601742204d",
            "",
            "",
        ),
    );
    let task = "bf1ddbfbbc8f45c9b1ac4f779368741e";
    // mackerelio/mackerel-container-agent pull request 13: with the cluster's name
    check(
        &format!("/ecs/production/{task}/{ID}"),
        (ID, docker, task, "", ""),
    );
    // aws/amazon-ecs-agent pull request 3127 (cgroup v2)
    check(
        &format!("/ecstasks.slice/ecstasks-{task}.slice/docker-{ID}.scope"),
        (ID, docker, task, "", &format!("ecstasks-{task}.slice")),
    );
    // google/cadvisor pull request 3923; DataDog/dd-trace-rb issue 6051, which has all below `-3057940393` too
    let (task, container) = (
        "0c7d9b9350cd4c7e97ddbf5becfd6f22",
        "0c7d9b9350cd4c7e97ddbf5becfd6f22-3057940393",
    );
    check(
        &format!("/ecs/{task}/{container}"),
        (container, ecs, task, "", ""),
    );
    check(
        &format!(
            "/ecs/{task}/{container}/kubepods/podb820dc31-db91-45b0-b920-d04f63e6400f/b33dd7f9fe94f384574f5d69e73d9618920578c2b5b2ff820934b741c57382f4"
        ),
        (
            "b33dd7f9fe94f384574f5d69e73d9618920578c2b5b2ff820934b741c57382f4",
            None,
            "b820dc31-db91-45b0-b920-d04f63e6400f",
            "",
            "",
        ),
    );
}

/// Makes sure that LXC's containers are known by name, with the units of the systemd in them, and not their monitors.
#[test]
fn lxc() {
    let lxc = Some(Runtime::Lxc);
    // cloudfoundry/bpm-release issue 109: the default of old
    check("/lxc/my-container", ("my-container", lxc, "", "", ""));
    // htop-dev/htop pull request 217
    check(
        "/lxc.payload/example/init.scope",
        ("example", lxc, "", "", ""),
    );
    check("/lxc.monitor/example", ("", None, "", "", ""));
    // lxc/lxc, src/lxc/cgroups/cgfsng.c (4.0: DEFAULT_PAYLOAD_CGROUP_PREFIX, DEFAULT_MONITOR_CGROUP_PREFIX)
    check(
        "/lxc.payload.web/system.slice/nginx.service",
        ("web", lxc, "", "nginx.service", "system.slice"),
    );
    check("/lxc.monitor.web", ("", None, "", "", ""));
    check(
        &format!("/lxc.payload.web/docker/{ID}"),
        (ID, Some(Runtime::Docker), "", "", ""),
    );
    // https://libvirt.org/cgroups.html
    check(
        r"/machine.slice/machine-lxc\x2d1234\x2dcontainer1.scope/libvirt",
        ("container1", lxc, "", "", "machine.slice"),
    );
    check(
        r"/machine.slice/machine-qemu\x2d1\x2dvm1.scope/libvirt/emulator",
        (
            "",
            None,
            "",
            r"machine-qemu\x2d1\x2dvm1.scope",
            "machine.slice",
        ),
    );
}

/// Makes sure that systemd's containers are known by their unescaped names, and nspawn itself is not one of them.
#[test]
fn nspawn() {
    let nspawn = Some(Runtime::SystemdNspawn);
    // systemd/systemd issue 18104
    check(
        "/machine.slice/machine-web.scope/payload",
        ("web", nspawn, "", "", "machine.slice"),
    );
    // systemd/systemd pull request 38440
    check(
        r"/machine.slice/machine-TEST\x2d13\x2dNSPAWN.machinectl\x2dbind.7ye.scope/payload/system.slice/sshd.service",
        (
            "TEST-13-NSPAWN.machinectl-bind.7ye",
            nspawn,
            "",
            "sshd.service",
            "system.slice",
        ),
    );
    // systemd.io/CONTROL_GROUP_INTERFACE and units/systemd-nspawn@.service.in (Slice=machine.slice, Delegate=yes)
    check(
        "/machine.slice/systemd-nspawn@build-box.service/payload",
        (
            "build-box",
            nspawn,
            "",
            "systemd-nspawn@build-box.service",
            "machine.slice",
        ),
    );
    // src/nspawn/nspawn-cgroup.c (create_subcgroup)
    check(
        "/machine.slice/systemd-nspawn@build-box.service/supervisor",
        (
            "",
            None,
            "",
            "systemd-nspawn@build-box.service",
            "machine.slice",
        ),
    );
}

/// Makes sure that units and slices are what systemd's own tools would call them. Most paths are those of
/// systemd's src/test/test-cgroup-util.c (path_get_unit, path_get_slice), with what it says of system units; of a user's
/// units the innermost.
#[test]
fn units_and_slices() {
    let unit = |unit, slice| ("", None, "", unit, slice);
    check(
        "/system.slice/foobar.service/sdfdsaf",
        unit("foobar.service", "system.slice"),
    );
    check(
        "/system.slice/getty@tty5.service",
        unit("getty@tty5.service", "system.slice"),
    );
    check(
        "/system.slice/system-waldo.slice/foobar.service/sdfdsaf",
        unit("foobar.service", "system-waldo.slice"),
    );
    check(
        "/system.slice/_cpu.service/sdfdsaf",
        unit("cpu.service", "system.slice"),
    );
    check(
        "/user.slice/user-1000.slice/user@1000.service/server.service",
        unit("server.service", "user-1000.slice"),
    );
    check(
        "/user.slice/user-1000.slice/user@.service/server.service",
        unit("server.service", "user-1000.slice"),
    );
    // A login is a slice and no unit, whichever way it was numbered.
    for session in ["session-3.scope", "session-c12.scope"] {
        check(
            &format!("/user.slice/user-1000.slice/{session}"),
            unit("", "user-1000.slice"),
        );
    }
    // What the user's manager runs: containers/podman issue 20910
    check(
        "/user.slice/user-10000.slice/user@10000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-f22f14d2-3d44-4304-9879-3fdd0df7b08e.scope",
        unit(
            "vte-spawn-f22f14d2-3d44-4304-9879-3fdd0df7b08e.scope",
            "user-10000.slice",
        ),
    );
    check("/init.scope", unit("", ""));
    check("/", unit("", ""));
    check("/../..", unit("", ""));
    // kernel/cgroup/cgroup.c, proc_cgroup_show
    check(
        "/system.slice/job.service (deleted)",
        unit("job.service", "system.slice"),
    );
}

/// Makes sure that what only resembles an id, or holds what no unit's name may hold, is no label.
#[test]
fn resemblances() {
    let nothing = ("", None, "", "", "");
    check(&format!("/docker/{}", &ID[1..]), nothing);
    check(&format!("/docker/{}", ID.to_uppercase()), nothing);
    check(&format!("/unknown-{ID}"), nothing);
    check("/process_api/79a7464b812dfeebc36375d459575975", nothing);
    check("/kubepods/burstable/podium", nothing);
    check("/evil\u{1b}[31m.service", nothing);
    check("/.service", nothing);
    check(
        "/machine-.scope/payload",
        ("", None, "", "machine-.scope", ""),
    );
    check("/lxc", nothing);
}

proptest! {
    /// Makes sure that no path makes it panic, and that what stands before a container does not hide it.
    #[test]
    fn any_path_is_taken(
        path in r"(/(docker|lxc|ecs|libpod_parent|\.\.|pod|[a-z\-:@_.\\x]{0,12}(\.slice|\.scope|\.service)?|\PC{0,8})){0,8}",
        text in any::<String>(),
    ) {
        let _ = Labels::of_cgroup(&text);
        let _ = Labels::of_cgroup(&path);
        let labels = Labels::of_cgroup(&format!("{path}/x/docker-{ID}.scope"));
        prop_assert_eq!(labels.container.as_deref(), Some(ID));
        prop_assert_eq!(labels.runtime, Some(Runtime::Docker));
    }

    /// Makes sure that any name of a machine is read back as it was before systemd escaped it.
    #[test]
    fn machines_are_unescaped(name in "[a-zA-Z][a-zA-Z0-9.-]{0,20}") {
        prop_assume!(!["qemu-", "lxc-", "ch-", "xen-"].iter().any(|driver| name.starts_with(driver)));
        let escaped = name.replace('-', r"\x2d");
        let labels = Labels::of_cgroup(&format!("/machine.slice/machine-{escaped}.scope/payload"));
        prop_assert_eq!(labels.container.as_deref(), Some(&*name));
    }
}
