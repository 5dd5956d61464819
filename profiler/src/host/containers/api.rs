//! The list of containers, as Docker's API and Podman's copy of it give it over a Unix socket.

use std::{
    io::{self, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::Path,
    time::{Duration, Instant},
};

use memchr::memmem;
use serde::Deserialize;

use super::super::labels::is_id;

/// 1.0, so that the answer comes in one piece up to the end of the connection (RFC 9112, sections 6.1 and
/// 6.3). Without a version in the path, since Docker drops old ones (29: below 1.44) and Podman takes none too.
const QUESTION: &[u8] =
    b"GET /containers/json?all=1 HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\n\r\n";
/// Bytes of an answer: some ten thousand containers.
const LONGEST_ANSWER: usize = 32 << 20;
/// Characters of a name; Docker's and Podman's own are far below.
const LONGEST_NAME: usize = 255;

/// What we read of a container (Docker Engine API, ContainerList).
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Names", default)]
    names: Vec<String>,
}

/// Asks for all containers, running or not: full id and name. Where the socket has an owner, who listens there
/// must be that user: the path may be a link to somebody else's socket.
///
/// # Errors
/// Where nobody listens, or the answer does not come in time or is no list of containers.
pub(super) fn containers(
    socket: &Path,
    owner: Option<u32>,
    patience: Duration,
) -> io::Result<Vec<(String, String)>> {
    let until = Instant::now() + patience;
    let mut stream = UnixStream::connect(socket)?;
    if let Some(owner) = owner
        && listener(&stream)? != owner
    {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(QUESTION)?;
    let mut answer = Vec::new();
    let mut piece = vec![0; 16 << 10];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() > LONGEST_ANSWER {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    parse(&answer).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The user who began to listen at the other end.
fn listener(stream: &UnixStream) -> io::Result<u32> {
    let mut peer = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut size = size_of_val(&peer) as libc::socklen_t;
    // SAFETY: `peer` and `size` are valid for writes, and `size` is how much of `peer` may be written.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    };
    if result == 0 {
        Ok(peer.uid)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn parse(answer: &[u8]) -> Option<Vec<(String, String)>> {
    let end = memmem::find(answer, b"\r\n\r\n")?;
    let status = answer.strip_prefix(b"HTTP/1.")?.get(1..5)?;
    if status != b" 200" {
        return None;
    }
    let listed: Vec<Listed> = serde_json::from_slice(&answer[end + 4..]).ok()?;
    let named = listed
        .into_iter()
        .filter(|listed| is_id(&listed.id))
        .filter_map(|listed| {
            // `/shop`; Docker's old links give a container names below others', too: `/other/alias`.
            let mut names = listed
                .names
                .iter()
                .map(|name| name.strip_prefix('/').unwrap_or(name));
            let name = names.find(|name| !name.is_empty() && !name.contains('/'))?;
            Some((listed.id, name.chars().take(LONGEST_NAME).collect()))
        });
    Some(named.collect())
}

#[cfg(test)]
pub(super) use tests::serve;

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, path::PathBuf, thread};

    use proptest::prelude::*;

    use super::*;

    const ID: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";

    /// A socket that gives the same answer to whoever asks, so many times.
    pub(in super::super) struct Server {
        pub socket: PathBuf,
        thread: Option<thread::JoinHandle<()>>,
        _directory: tempfile::TempDir,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.thread.take().map(thread::JoinHandle::join);
        }
    }

    pub(in super::super) fn serve(answer: Vec<u8>, times: usize) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let thread = thread::spawn(move || {
            for _ in 0..times {
                let (mut stream, _) = listener.accept().unwrap();
                let mut question = [0; QUESTION.len()];
                stream.read_exact(&mut question).unwrap();
                assert_eq!(question, QUESTION);
                // The other side may have had enough.
                let _ = stream.write_all(&answer);
            }
        });
        Server {
            socket,
            thread: Some(thread),
            _directory: directory,
        }
    }

    fn asked(answer: &[u8]) -> io::Result<Vec<(String, String)>> {
        let server = serve(answer.to_vec(), 1);
        containers(&server.socket, None, Duration::from_secs(10))
    }

    /// Makes sure that an answer like Docker's own is understood: this is its documentation's, shortened
    /// (docs.docker.com/reference/api/engine, ContainerList), with a container linked into another.
    #[test]
    fn a_list_is_read() {
        let body = format!(
            r#"[{{"Id":"{ID}","Names":["/web/db","/db"],"Image":"ubuntu:latest","Ports":[{{"PrivatePort":2222}}],
                "SizeRw":12288,"HostConfig":{{"NetworkMode":"default"}},"Mounts":[]}},
               {{"Id":"short","Names":["/x"]}},{{"Id":"{ID}","Names":[]}}]"#
        );
        let answer = format!(
            "HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\nServer: Libpod/4.3.1 (linux)\r\n\r\n{body}"
        );
        assert_eq!(
            asked(answer.as_bytes()).unwrap(),
            [(ID.to_owned(), "db".to_owned())]
        );
    }

    /// Makes sure that what is no list of containers is an error.
    #[test]
    fn other_answers_are_errors() {
        for answer in [
            "",
            "HTTP/1.1 500 Internal Server Error\r\n\r\n[]",
            "HTTP/1.1 200 OK\r\n\r\n{\"message\":\"page not found\"}",
            "HTTP/1.1 200 OK\r\n\r\n[",
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        ] {
            assert!(asked(answer.as_bytes()).is_err(), "{answer}");
        }
        assert!(containers(Path::new("/nonexistent"), None, Duration::from_secs(1)).is_err());
    }

    /// Makes sure that an answer without an end is given up, be it for its length or for its time.
    #[test]
    fn endless_answers_are_given_up() {
        let error = asked(&vec![b' '; LONGEST_ANSWER + (1 << 20)]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("mute.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(containers(&socket, None, Duration::from_millis(1)).is_err());
    }

    /// Makes sure that nothing is asked of, or believed from, another than the socket's owner.
    #[test]
    fn only_the_owner_is_asked() {
        let answer = format!("HTTP/1.0 200 OK\r\n\r\n[{{\"Id\":\"{ID}\",\"Names\":[\"/web\"]}}]");
        // SAFETY: geteuid has no preconditions and cannot fail.
        let own = unsafe { libc::geteuid() };
        let patience = Duration::from_secs(10);
        let server = serve(answer.into_bytes(), 1);
        assert_eq!(
            containers(&server.socket, Some(own), patience)
                .unwrap()
                .len(),
            1
        );
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("other.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let error = containers(&socket, Some(own + 1), patience).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }

    proptest! {
        /// Makes sure that no answer makes it panic.
        #[test]
        fn any_answer_is_taken(answer in any::<Vec<u8>>(), json in r#"[\[\]{}":,a-zA-Z0-9/]{0,64}"#) {
            let _ = parse(&answer);
            let _ = parse(format!("HTTP/1.1 200 OK\r\n\r\n{json}").as_bytes());
        }
    }
}
