//! A shell that is typed into, one command after the other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A command's answer comes within this time.
const DEADLINE: Duration = Duration::from_secs(60);
/// Begins the line that tells of a command's end.
const DONE: &str = "==command-ended==";

/// A bash in a process group of its own; the whole group is killed with this value.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    /// Starts one in a folder, with a home of its own, and nothing in its environment that steers the worker.
    pub fn start(folder: &Path, home: &Path) -> Self {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder).env("HOME", home).env("no_proxy", "127.0.0.1");
        command.env_remove("RMQC_IO").env_remove("NAMESRV_ADDR").env_remove("CONNECT_HOME");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).process_group(0);
        let mut child = command.spawn().expect("bash starts");
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, input, lines }
    }

    /// Types a command and gives what was said until it had ended.
    ///
    /// # Panics
    /// When it fails, or does not end.
    pub fn run(&mut self, command: &str) -> String {
        let (code, said) = self.attempt(command);
        assert_eq!(code, "0", "{command}: {said}");
        said
    }

    /// The same for a command that may fail: its exit code comes first.
    ///
    /// # Panics
    /// When it does not end.
    pub fn attempt(&mut self, command: &str) -> (String, String) {
        writeln!(self.input, "{command}\nprintf '\\n{DONE}%s\\n' $?").unwrap();
        let mut said = String::new();
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|error| panic!("{command}: {error} after {said}"));
            if let Some(code) = line.strip_prefix(DONE) {
                return (code.to_owned(), said);
            }
            said.push_str(&line);
            said.push('\n');
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Ok(group) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: the group was made for this child, which has not been waited for, so its number is not another's.
            unsafe { libc::kill(-group, libc::SIGKILL) };
        }
        let _ = self.child.wait();
    }
}
