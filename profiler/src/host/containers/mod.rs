//! Names of containers, as Docker and Podman know them by their API.
//!
//! Nothing of a recording waits for them: they are asked on a thread of its own, when a container is met that
//! has no name yet, so that names outlive their containers. Where nobody answers, the id has to do.

mod api;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
    time::{Duration, Instant},
};

use super::labels::{Labels, Runtime, is_id};

/// The time between two questions: a storm of new containers is asked about in one.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take; nobody waits for it but the thread that asks.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to ask.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What answers there.
    pub runtime: Runtime,
    /// Its socket.
    pub socket: PathBuf,
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
    })
    .into()
}

/// What a runtime says of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name: untrusted.
    pub name: String,
    /// Who knows it by that name.
    pub runtime: Runtime,
}

/// Names by container id.
#[derive(Clone, Debug, Default)]
pub struct Names(HashMap<String, Named>);

impl Names {
    /// Asks all of `endpoints`, and waits for each no longer than `patience`. Those that do not answer, or not
    /// with a list of containers, are passed over.
    #[must_use]
    pub fn ask(endpoints: &[Endpoint], patience: Duration) -> Self {
        let mut names = HashMap::new();
        for endpoint in endpoints {
            for (id, name) in api::containers(&endpoint.socket, patience).unwrap_or_default() {
                let runtime = endpoint.runtime;
                names.entry(id).or_insert(Named { name, runtime });
            }
        }
        Self(names)
    }

    /// What is known of the container with a full id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Named> {
        self.0.get(id)
    }

    /// All of them: full id and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Named)> {
        self.0.iter().map(|(id, named)| (id.as_str(), named))
    }

    /// How a container is called: its name, or what its id is cut to, and its runtime, where known.
    #[must_use]
    pub fn call(&self, labels: &Labels) -> Option<(String, Option<Runtime>)> {
        let id = labels.container.as_deref()?;
        Some(match self.get(id) {
            Some(named) => (named.name.clone(), labels.runtime.or(Some(named.runtime))),
            None => (short(id).to_owned(), labels.runtime),
        })
    }
}

/// An id as `docker ps` and `podman ps` show it, 12 digits long; what is a name already stays whole.
#[must_use]
pub fn short(id: &str) -> &str {
    if is_id(id) {
        id.get(..12).unwrap_or(id)
    } else {
        id
    }
}

/// Finds out names in the background.
#[derive(Debug)]
pub struct Containers {
    endpoints: Vec<Endpoint>,
    names: Names,
    /// Met, and without a name so far.
    nameless: HashSet<String>,
    /// Whether some were met since the last question.
    is_due: bool,
    /// When to ask next at the earliest.
    next: Instant,
    /// Where the answer will arrive.
    asked: Option<Receiver<Names>>,
}

impl Containers {
    /// Nothing met yet.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            names: Names::default(),
            nameless: HashSet::new(),
            is_due: false,
            next: Instant::now(),
            asked: None,
        }
    }

    /// Takes note of where a process runs, and asks if need be.
    pub fn meet(&mut self, labels: &Labels) {
        let Some(id) = labels.container.as_deref() else {
            return;
        };
        let may_be_known = self.endpoints.iter().any(|endpoint| {
            labels
                .runtime
                .is_none_or(|runtime| runtime == endpoint.runtime)
        });
        if may_be_known && is_id(id) && self.names.get(id).is_none() {
            self.nameless.insert(id.to_owned());
            self.is_due = true;
            self.look();
        }
    }

    /// Takes in what has been answered, and asks what has come up since; never waits.
    pub fn look(&mut self) {
        match self.asked.as_ref().map(Receiver::try_recv) {
            Some(Ok(answer)) => self.learn(&answer),
            Some(Err(TryRecvError::Empty)) => return,
            Some(Err(TryRecvError::Disconnected)) | None => self.asked = None,
        }
        if self.is_due && Instant::now() >= self.next {
            self.ask();
        }
    }

    /// Asks once more for what has no name yet, and waits so long at most.
    #[must_use]
    pub fn finish(mut self, patience: Duration) -> Names {
        let until = Instant::now() + patience;
        if self.asked.is_some() {
            self.wait(until);
        }
        if !self.nameless.is_empty() {
            self.ask();
            self.wait(until);
        }
        self.names
    }

    fn wait(&mut self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        let answer = self
            .asked
            .as_ref()
            .and_then(|asked| asked.recv_timeout(left).ok());
        if let Some(answer) = answer {
            self.learn(&answer);
        }
    }

    fn ask(&mut self) {
        let (sender, receiver) = channel();
        let endpoints = self.endpoints.clone();
        let asking = thread::Builder::new()
            .name("container-names".into())
            .spawn(move || {
                // Whoever asked may have gone.
                let _ = sender.send(Names::ask(&endpoints, PATIENCE));
            });
        self.asked = asking.is_ok().then_some(receiver);
        self.is_due = false;
        self.next = Instant::now() + PAUSE;
    }

    fn learn(&mut self, answer: &Names) {
        self.asked = None;
        let names = &mut self.names.0;
        self.nameless.retain(|id| match answer.get(id) {
            Some(named) => {
                names.insert(id.clone(), named.clone());
                false
            }
            None => true,
        });
        self.is_due &= !self.nameless.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::{api::serve, *};

    const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

    fn labels(id: &str, runtime: Option<Runtime>) -> Labels {
        Labels {
            container: Some(id.into()),
            runtime,
            ..Labels::default()
        }
    }

    fn answer(body: &str) -> Vec<u8> {
        format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}").into_bytes()
    }

    /// Makes sure that a container's name is found out while it runs and kept when the API has gone, and that its
    /// runtime is that of who knew it.
    #[test]
    fn a_name_outlives_the_api() {
        let server = serve(
            answer(&format!(r#"[{{"Id":"{ID}","Names":["/shop"]}}]"#)),
            1,
        );
        let mut containers = Containers::new(vec![Endpoint {
            runtime: Runtime::Docker,
            socket: server.socket.clone(),
        }]);
        containers.meet(&labels(ID, None));
        drop(server);
        let names = containers.finish(PATIENCE);
        assert_eq!(
            names.call(&labels(ID, None)),
            Some(("shop".into(), Some(Runtime::Docker)))
        );
    }

    /// Makes sure that the id stands where nobody answers, cut as runtimes cut it, and that names stay whole.
    #[test]
    fn the_id_where_there_is_no_name() {
        let mut containers = Containers::new(vec![Endpoint {
            runtime: Runtime::Docker,
            socket: "/nonexistent/docker.sock".into(),
        }]);
        containers.meet(&labels(ID, Some(Runtime::Docker)));
        let names = containers.finish(PATIENCE);
        let called = |id, runtime| names.call(&labels(id, runtime)).unwrap();
        assert_eq!(
            called(ID, Some(Runtime::Docker)),
            ("9ec39b91f3d7".into(), Some(Runtime::Docker))
        );
        assert_eq!(called("web", Some(Runtime::Lxc)).0, "web");
        assert_eq!(names.call(&Labels::default()), None);
    }

    /// Makes sure that nobody is asked about containers of others.
    #[test]
    fn only_who_may_know_is_asked() {
        let mut containers = Containers::new(endpoints());
        containers.meet(&Labels::default());
        containers.meet(&labels(ID, Some(Runtime::Containerd)));
        containers.meet(&labels("web", Some(Runtime::Lxc)));
        assert!(containers.asked.is_none() && containers.nameless.is_empty());
    }
}
