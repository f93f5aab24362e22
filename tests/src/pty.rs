//! A program on a pseudo-terminal, and its screen.

use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use pty_process::Size;
use pty_process::blocking::{Pty, open};
use vt100::Parser;

use crate::agent::wait_until;

/// A program on a separate terminal. It is killed if the test fails.
pub struct Terminal {
    pty: Arc<Pty>,
    child: Child,
    screen: Arc<Mutex<Parser>>,
    reader: Option<JoinHandle<()>>,
}

fn size(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).unwrap()
}

impl Terminal {
    /// Starts a command on a terminal of this size.
    pub fn start(command: &Command, columns: u16, rows: u16) -> Self {
        let (pty, pts) = open().unwrap();
        pty.resize(Size::new(rows, columns)).unwrap();
        let mut on_pty = pty_process::blocking::Command::new(command.get_program());
        on_pty = on_pty.args(command.get_args()).env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            on_pty = match value {
                Some(value) => on_pty.env(name, value),
                None => on_pty.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            on_pty = on_pty.current_dir(folder);
        }
        let child = on_pty.spawn(pts).unwrap();
        let (pty, screen) = (Arc::new(pty), Arc::new(Mutex::new(Parser::new(size(rows), size(columns), 0))));
        let reader = std::thread::spawn({
            let (pty, screen) = (pty.clone(), screen.clone());
            move || {
                let mut buffer = [0; 4096];
                // When the last program on the terminal ends, reading fails.
                while let Ok(read) = (&*pty).read(&mut buffer) {
                    if read == 0 {
                        return;
                    }
                    screen.lock().unwrap().process(&buffer[..read]);
                }
            }
        });
        Self { pty, child, screen, reader: Some(reader) }
    }

    /// Presses keys.
    pub fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().set_size(size(rows), size(columns));
        self.pty.resize(Size::new(rows, columns)).unwrap();
    }

    /// The text of the screen, without spaces at the ends of lines.
    pub fn text(&self) -> String {
        let screen = self.screen.lock().unwrap();
        let columns = screen.screen().size().1.get();
        let rows: Vec<String> = screen.screen().rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
        rows.join("\n").trim_end().to_owned()
    }

    /// Waits until the screen has this text.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        wait_until(text, || self.text().contains(text));
        self.text()
    }

    /// Whether the program shows a screen beside that of the shell.
    pub fn is_alternate(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Whether any cell of the screen has a color.
    pub fn has_colors(&self) -> bool {
        let screen = self.screen.lock().unwrap();
        let (rows, columns) = screen.screen().size();
        let cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        let mut cells = cells.filter_map(|(row, column)| screen.screen().cell(row, column));
        cells.any(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
    }

    /// Sends a signal to the program, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the program: its exit code, or -1 after a signal.
    #[track_caller]
    pub fn ended(&mut self) -> i32 {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let status = status.unwrap();
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        assert!(!status.core_dumped());
        status.code().unwrap_or(-1)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
