//! Writers and rotation in the model.

use super::*;

/// A live log and its rotated files.
#[derive(Default)]
pub(super) struct Log {
    rotations: u32,
    /// Rotated files, not compressed.
    rotated: Vec<String>,
}

impl Model {
    pub(super) fn append(&mut self, log: usize) {
        let lines = 1 + self.dice.below(12);
        let mut text = String::new();
        for _ in 0..lines {
            let pad = if self.dice.below(10) == 0 { "x".repeat(400) } else { String::new() };
            let line = format!("line {} of log {log}{pad}", self.written.len());
            text.push_str(&line);
            text.push('\n');
            self.written.insert(line, 0);
        }
        let path = self.live(log);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        touch(&file);
        self.note(format!("append {lines} lines, {} bytes, to log{log}, now {} lines", text.len(), self.written.len()));
    }

    pub(super) fn rotate(&mut self, log: usize) {
        if self.live(log).exists() {
            let name = self.next_name(log);
            fs::rename(self.live(log), self.world.path(&name)).unwrap();
            self.note(format!("rename log{log} to {name}"));
        }
    }

    pub(super) fn copytruncate(&mut self, log: usize) {
        if self.live(log).exists() {
            let name = self.next_name(log);
            fs::copy(self.live(log), self.world.path(&name)).unwrap();
            touch(&fs::OpenOptions::new().write(true).open(self.world.path(&name)).unwrap());
            self.empty(log);
            self.note(format!("copytruncate log{log} to {name}"));
        }
    }

    /// The name of the next rotated file of a log.
    fn next_name(&mut self, log: usize) -> String {
        let entry = &mut self.logs[log];
        entry.rotations += 1;
        let name = format!("log{log}/app.log.{}", entry.rotations);
        entry.rotated.push(name.clone());
        name
    }

    pub(super) fn gzip(&mut self, log: usize) {
        if self.logs[log].rotated.is_empty() {
            return;
        }
        let name = self.logs[log].rotated.remove(0);
        let text = fs::read(self.world.path(&name)).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&text).unwrap();
        // Like gzip: write the compressed file first, then remove the original.
        let mut file = fs::File::create(self.world.path(&format!("{name}.gz"))).unwrap();
        file.write_all(&encoder.finish().unwrap()).unwrap();
        touch(&file);
        fs::remove_file(self.world.path(&name)).unwrap();
        self.note(format!("gzip {name}"));
    }

    pub(super) fn move_rotated(&mut self, log: usize) {
        let Some(name) = self.logs[log].rotated.pop() else { return };
        let target = format!("old/log{log}/{}", name.rsplit('/').next().unwrap());
        let path = self.world.path(&target);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::rename(self.world.path(&name), path).unwrap();
        self.note(format!("move {name} to {target}"));
        self.logs[log].rotated.push(target);
    }

    pub(super) fn delete(&mut self, log: usize) {
        let path = match self.dice.below(2) {
            0 if self.live(log).exists() => self.live(log),
            _ => match self.logs[log].rotated.pop() {
                Some(name) => self.world.path(&name),
                None => return,
            },
        };
        self.destroy(&path);
        fs::remove_file(&path).unwrap();
        self.note(format!("delete {}", path.strip_prefix(self.world.path("")).unwrap().display()));
    }

    pub(super) fn truncate(&mut self, log: usize) {
        if self.live(log).exists() {
            self.destroy(&self.live(log));
            self.empty(log);
            self.note(format!("truncate log{log}"));
        }
    }

    fn destroy(&mut self, path: &std::path::Path) {
        self.destroyed.extend(fs::read_to_string(path).unwrap().lines().map(str::to_owned));
    }

    fn empty(&self, log: usize) {
        let file = fs::OpenOptions::new().write(true).open(self.live(log)).unwrap();
        file.set_len(0).unwrap();
        touch(&file);
    }

    fn live(&self, log: usize) -> PathBuf {
        self.world.path(&format!("log{log}/app.log"))
    }
}

/// Sets the modification time of a file to simulated time.
fn touch(file: &fs::File) {
    file.set_modified(fake::wall().unwrap()).unwrap();
}
