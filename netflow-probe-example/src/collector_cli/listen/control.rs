//! The local socket that `netflow-collector status` asks at.

use core::time::Duration;
use std::{
    fs, io,
    io::{Read as _, Write as _},
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

/// A socket in the file system, for its owner alone, which goes when this does.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// How long a question, and taking its answer, may last.
    const PATIENCE: Duration = Duration::from_secs(2);
    /// Octets of a question.
    const QUESTION: u64 = 64;

    /// Makes the socket; one that a collector left behind that is gone is replaced.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
            if UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another collector answers there"));
            }
            fs::remove_file(path)?;
        }
        // Nobody else can connect from the beginning on.
        let before = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
        let listener = UnixListener::bind(path);
        nix::sys::stat::umask(before);
        let listener = listener?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Answers those who ask by now, and says how many. Whoever asks badly, or does not take the answer, gets none.
    pub(super) fn answer(&self, answer: impl Fn(&str) -> String) -> usize {
        let mut answered = 0;
        while let Ok((stream, _)) = self.listener.accept() {
            if Self::serve(stream, &answer).is_ok() {
                answered += 1;
            }
        }
        answered
    }

    fn serve(mut stream: UnixStream, answer: impl Fn(&str) -> String) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Self::PATIENCE))?;
        stream.set_write_timeout(Some(Self::PATIENCE))?;
        let mut question = String::new();
        (&stream).take(Self::QUESTION).read_to_string(&mut question)?;
        stream.write_all(answer(question.trim()).as_bytes())
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::account::health::ask;

    #[test]
    fn only_the_owner_can_ask_and_a_socket_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let control = Control::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Control::bind(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&path, "how?").unwrap());
            // Two of `bind` above, and this one.
            while !asking.is_finished() {
                control.answer(|question| format!("{question} well"));
                thread::yield_now();
            }
            assert_eq!(asking.join().unwrap(), "how? well");
        });
        // As a program that was killed does.
        core::mem::forget(control);
        assert!(path.exists());
        drop(UnixListener::bind(folder.path().join("other")).unwrap());
        let left = folder.path().join("other");
        let again = Control::bind(&left).unwrap();
        assert!(left.exists());
        drop(again);
        assert!(!left.exists());
        // What is no socket is nobody's to remove.
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Control::bind(&folder.path().join("file")).is_err());
        assert!(folder.path().join("file").exists());
    }
}
