//! Names of containers, as Docker and Podman know them by their API.
//!
//! Nothing of a recording waits for them: they are asked on a thread of its own, when a container is met that
//! has no name yet, so that names outlive their containers. Where nobody answers, the id has to do.

mod api;
mod endpoint;
mod names;

use std::{
    collections::HashMap,
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
    time::{Duration, Instant},
};

use self::endpoint::endpoints_of;
pub use self::{
    endpoint::{Endpoint, ask, endpoints},
    names::{Named, Names, short},
};
use super::labels::{Labels, Runtime, is_id};

/// The time between two questions: a storm of new containers is asked about in one.
const PAUSE: Duration = Duration::from_secs(1);
/// How long an answer may take; nobody waits for it but the thread that asks.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who may know a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    runtime: Option<Runtime>,
    /// The user in whose slice it is, where that is not root.
    owner: Option<u32>,
}

impl Place {
    fn of(labels: &Labels) -> Self {
        let user = labels.slice.as_deref().and_then(|slice| {
            let uid = slice.strip_prefix("user-")?.strip_suffix(".slice")?;
            uid.parse().ok().filter(|&uid| uid != 0)
        });
        Self {
            runtime: labels.runtime,
            owner: user,
        }
    }

    fn may_be_known_to(self, endpoint: &Endpoint) -> bool {
        self.runtime
            .is_none_or(|runtime| runtime == endpoint.runtime)
            && (endpoint.owner.is_none() || endpoint.owner == self.owner)
    }
}

/// Who says what: endpoint, full id, name.
type Answer = Vec<(Endpoint, String, String)>;

/// Finds out names in the background.
#[derive(Debug)]
pub struct Containers {
    endpoints: Vec<Endpoint>,
    names: Names,
    /// Met, and without a name so far.
    nameless: HashMap<String, Place>,
    /// Whether some were met since the last question.
    is_due: bool,
    /// When to ask next at the earliest.
    next: Instant,
    /// Where the answer will arrive.
    asked: Option<Receiver<Answer>>,
}

impl Containers {
    /// Nothing met yet.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            names: Names::default(),
            nameless: HashMap::new(),
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
        let place = Place::of(labels);
        if is_id(id) && self.names.get(id).is_none() && self.endpoints_for(place).next().is_some() {
            self.nameless.insert(id.to_owned(), place);
            self.is_due = true;
            self.look();
        }
    }

    /// The names known so far.
    #[must_use]
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// Whether an answer, or the time for the next question, is waited for.
    #[must_use]
    pub const fn has_questions(&self) -> bool {
        self.asked.is_some() || self.is_due
    }

    /// Takes in what has been answered, and asks what has come up since; never waits.
    pub fn look(&mut self) {
        match self.asked.as_ref().map(Receiver::try_recv) {
            Some(Ok(answer)) => self.learn(answer),
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
            self.learn(answer);
        }
    }

    fn endpoints_for(&self, place: Place) -> impl Iterator<Item = Endpoint> {
        let of_owner = place.owner.map(endpoints_of).into_iter().flatten();
        let all = self.endpoints.iter().cloned().chain(of_owner);
        all.filter(move |endpoint| place.may_be_known_to(endpoint))
    }

    fn ask(&mut self) {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for &place in self.nameless.values() {
            for endpoint in self.endpoints_for(place) {
                if !endpoints.contains(&endpoint) {
                    endpoints.push(endpoint);
                }
            }
        }
        let (sender, receiver) = channel();
        let asking = thread::Builder::new()
            .name("container-names".into())
            .spawn(move || {
                let answer = ask(&endpoints, PATIENCE)
                    .into_iter()
                    .map(|(endpoint, id, name)| (endpoint.clone(), id, name))
                    .collect();
                // Whoever asked may have gone.
                let _ = sender.send(answer);
            });
        self.asked = asking.is_ok().then_some(receiver);
        self.is_due = false;
        self.next = Instant::now() + PAUSE;
    }

    fn learn(&mut self, answer: Answer) {
        self.asked = None;
        for (endpoint, id, name) in answer {
            let is_wanted = self
                .nameless
                .get(&id)
                .is_some_and(|place| place.may_be_known_to(&endpoint));
            if is_wanted {
                self.nameless.remove(&id);
                let runtime = endpoint.runtime;
                self.names.insert(id, Named { name, runtime });
            }
        }
        self.is_due &= !self.nameless.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

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
            owner: None,
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
            owner: None,
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

    /// Makes sure that nobody is asked about containers of others, be it of another runtime's or of another user's.
    #[test]
    fn only_who_may_know_is_asked() {
        let mut containers = Containers::new(endpoints());
        containers.meet(&Labels::default());
        containers.meet(&labels(ID, Some(Runtime::Containerd)));
        containers.meet(&labels("web", Some(Runtime::Lxc)));
        assert!(containers.asked.is_none() && containers.nameless.is_empty());

        let place = Place::of(&Labels::of_cgroup(&format!(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"
        )));
        let sockets: Vec<_> = containers
            .endpoints_for(place)
            .map(|endpoint| endpoint.socket)
            .collect();
        assert_eq!(
            sockets,
            [
                "/run/podman/podman.sock",
                "/run/user/1000/podman/podman.sock"
            ]
            .map(PathBuf::from)
        );
    }

    /// Makes sure that a user cannot name containers that are not in that user's slice.
    #[test]
    fn a_user_names_none_but_own_containers() {
        let answer = |uid| {
            vec![(
                endpoints_of(uid)[1].clone(),
                ID.to_owned(),
                "mine".to_owned(),
            )]
        };
        let mut containers = Containers::new(Vec::new());
        let place = Place {
            runtime: Some(Runtime::Podman),
            owner: Some(1000),
        };
        containers.nameless.insert(ID.into(), place);
        containers.learn(answer(1001));
        assert_eq!(containers.names.get(ID), None);
        containers.learn(answer(1000));
        assert!(containers.names.get(ID).is_some());
    }
}
