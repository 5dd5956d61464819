//! Where container runtimes answer.

use std::{path::PathBuf, time::Duration};

use super::{super::labels::Runtime, api};

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What answers there.
    pub runtime: Runtime,
    /// Its socket.
    pub socket: PathBuf,
    /// The user whose socket it is, where that is not root: what answers there must be that user's, and is
    /// believed about that user's containers alone.
    pub owner: Option<u32>,
}

/// Where Docker and Podman listen for root.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    [
        (Runtime::Docker, "/var/run/docker.sock"),
        (Runtime::Podman, "/run/podman/podman.sock"),
    ]
    .map(|(runtime, socket)| Endpoint {
        runtime,
        socket: socket.into(),
        owner: None,
    })
    .into()
}

/// Where they listen for another user, who runs them without root.
pub(super) fn endpoints_of(uid: u32) -> [Endpoint; 2] {
    [
        (Runtime::Docker, "docker.sock"),
        (Runtime::Podman, "podman/podman.sock"),
    ]
    .map(|(runtime, socket)| Endpoint {
        runtime,
        socket: PathBuf::from(format!("/run/user/{uid}")).join(socket),
        owner: Some(uid),
    })
}

/// Asks each of `endpoints` for all of its containers, running or not, and waits for each no longer than
/// `patience`: who said it, full id, name. Those that do not answer so are passed over.
#[must_use]
pub fn ask(endpoints: &[Endpoint], patience: Duration) -> Vec<(&Endpoint, String, String)> {
    let mut answers = Vec::new();
    for endpoint in endpoints {
        let listed = api::containers(&endpoint.socket, endpoint.owner, patience);
        answers.extend(
            listed
                .unwrap_or_default()
                .into_iter()
                .map(|(id, name)| (endpoint, id, name)),
        );
    }
    answers
}
