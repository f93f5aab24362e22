//! Collects the manifests, problems and files while a configuration is read.
//!
//! Problems keep places in manifests until the end. [`Findings::finish`] then converts them to
//! diagnostics in the order of the text, without duplicates and with secrets blanked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::codes::Code;
use crate::diagnostic::{Diagnostic, Excerpt, Invalid, Severity};
use crate::secrets;

/// Maximum length of an excerpt, in characters.
const EXCERPT_CHARS: usize = 160;
/// Characters of a long line that an excerpt shows before the place.
const EXCERPT_LEAD: usize = 40;
/// Shorter values are not treated as secrets: blanking them would garble messages.
const SECRET_BYTES: usize = 4;

/// A range of bytes in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    manifest: usize,
    start: usize,
    end: usize,
}

impl Place {
    /// A range of bytes in the manifest with this number.
    pub fn new(manifest: usize, span: std::ops::Range<usize>) -> Self {
        Self { manifest, start: span.start, end: span.end }
    }

    /// A whole file.
    pub fn file(manifest: usize) -> Self {
        Self::new(manifest, 0..0)
    }

    /// Whether two places are in the same manifest.
    pub fn is_beside(self, other: Self) -> bool {
        self.manifest == other.manifest
    }

    fn is_file(self) -> bool {
        self.end == 0
    }
}

struct Manifest {
    name: PathBuf,
    text: String,
}

/// A problem before it becomes a diagnostic.
pub struct Finding {
    code: Code,
    place: Place,
    message: String,
    hint: Option<String>,
    notes: Vec<String>,
}

impl Code {
    /// Starts a finding of this kind.
    pub fn at(self, place: Place, message: impl Into<String>) -> Finding {
        Finding { code: self, place, message: message.into(), hint: None, notes: Vec::new() }
    }
}

impl Finding {
    /// Adds a fix.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Adds a fix, if one is known.
    pub fn hint_if(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    /// Adds a fact that helps to understand the problem.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a note, if there is one.
    pub fn note_if(self, note: Option<String>) -> Self {
        match note {
            Some(note) => self.note(note),
            None => self,
        }
    }
}

/// All findings so far.
#[derive(Default)]
pub struct Findings {
    manifests: Vec<Manifest>,
    found: Vec<Finding>,
    secrets: BTreeSet<String>,
    secret_places: Vec<Place>,
    files: BTreeSet<PathBuf>,
}

impl Findings {
    /// Adds a manifest. One that was added before keeps its number, so that no problem is reported
    /// twice.
    pub fn add_manifest(&mut self, name: &Path, text: &str) -> usize {
        if let Some(number) = self.manifests.iter().position(|manifest| manifest.name == name) {
            return number;
        }
        let number = self.manifests.len();
        for span in secrets::spans(text) {
            if let Some(value) = text.get(span.clone()) {
                self.keep_secret(value);
            }
            self.secret_places.push(Place::new(number, span));
        }
        self.manifests.push(Manifest { name: name.to_owned(), text: text.to_owned() });
        number
    }

    /// Adds a file or folder whose change could change the result.
    pub fn watch(&mut self, file: impl Into<PathBuf>) {
        self.files.insert(file.into());
    }

    /// Adds a value that no message may show.
    pub fn keep_secret(&mut self, value: &str) {
        if value.len() >= SECRET_BYTES {
            self.secrets.insert(value.to_owned());
        }
    }

    /// Whether a text contains a value that no message may show.
    pub fn is_secret(&self, text: &str) -> bool {
        self.secrets.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// Marks a part of a manifest that no excerpt may show.
    pub fn keep_place_secret(&mut self, place: Place) {
        self.secret_places.push(place);
    }

    /// Records the value of a string that is secret in the manifest, where it can have escapes.
    pub(crate) fn keep_decoded_secret(&mut self, place: Place, value: &str) {
        let is_within =
            |secret: &Place| secret.manifest == place.manifest && secret.start < place.end && place.start < secret.end;
        let has_escapes = self
            .manifests
            .get(place.manifest)
            .is_some_and(|manifest| manifest.text.get(place.start..place.end).is_some_and(|raw| !raw.contains(value)));
        if has_escapes && self.secret_places.iter().any(is_within) {
            self.keep_secret(value);
        }
    }

    /// Whether no excerpt may show a part of this place.
    pub fn is_hidden(&self, place: Place) -> bool {
        let overlaps =
            |secret: &Place| secret.manifest == place.manifest && secret.start < place.end && place.start < secret.end;
        self.secret_places.iter().any(overlaps)
    }

    /// The folder of the manifest of a place; paths in it are relative to it.
    pub fn folder(&self, place: Place) -> PathBuf {
        let manifest = self.manifests.get(place.manifest);
        manifest.and_then(|manifest| manifest.name.parent()).map(Path::to_path_buf).unwrap_or_default()
    }

    /// Adds a problem.
    pub fn report(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    /// Whether an error was reported.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|finding| finding.code.severity == Severity::Error)
    }

    /// Formats a place as `file:line:column`.
    pub fn describe(&self, place: Place) -> String {
        let Some(manifest) = self.manifests.get(place.manifest) else { return String::new() };
        let name = manifest.name.display();
        if place.is_file() {
            return name.to_string();
        }
        let line = Line::around(&manifest.text, place);
        let number = manifest.text.get(..line.offset).unwrap_or_default().matches('\n').count() + 1;
        format!("{name}:{number}:{}", line.column)
    }

    /// Returns the value if there is one and no error was reported, together with the warnings and
    /// the files.
    pub fn finish<T>(self, value: Option<T>) -> Result<(T, Vec<Diagnostic>, BTreeSet<PathBuf>), Invalid> {
        let Self { manifests, mut found, secrets, secret_places, files } = self;
        found.sort_by_key(|finding| (finding.place.manifest, finding.place.start));
        // A pack that two pipelines use is read twice.
        let mut seen = BTreeSet::new();
        found.retain(|finding| seen.insert((finding.place, finding.code.id, finding.message.clone())));
        let secret_places = merged(secret_places);
        let breaks: Vec<Vec<usize>> =
            manifests.iter().map(|m| m.text.match_indices('\n').map(|(at, _)| at).collect()).collect();
        let diagnose = |finding| diagnose(finding, &manifests, &breaks, &secrets, &secret_places);
        let diagnostics: Vec<Diagnostic> = found.into_iter().map(diagnose).collect();
        match value {
            Some(value) if diagnostics.iter().all(|d| d.severity != Severity::Error) => Ok((value, diagnostics, files)),
            _ => Err(Invalid { diagnostics, files }),
        }
    }
}

fn diagnose(
    finding: Finding,
    manifests: &[Manifest],
    breaks: &[Vec<usize>],
    secrets: &BTreeSet<String>,
    secret_places: &[Place],
) -> Diagnostic {
    let Finding { code, place, message, hint, notes } = finding;
    let blank = |text: String| secrets.iter().rev().fold(text, |text, secret| text.replace(secret.as_str(), "***"));
    let mut diagnostic = Diagnostic {
        severity: code.severity,
        code: code.id,
        message: blank(message),
        file: PathBuf::new(),
        line: 0,
        column: 0,
        length: 0,
        hint: hint.map(blank),
        notes: notes.into_iter().map(blank).collect(),
        excerpt: None,
    };
    let Some(manifest) = manifests.get(place.manifest) else { return diagnostic };
    diagnostic.file.clone_from(&manifest.name);
    if !place.is_file() {
        let line = Line::around(&manifest.text, place);
        // Counting lines from the start for each finding would take quadratic time.
        let before = |breaks: &Vec<usize>| breaks.partition_point(|at| *at < line.offset);
        diagnostic.line = breaks.get(place.manifest).map_or(0, before) + 1;
        diagnostic.column = line.column;
        diagnostic.length = line.length;
        diagnostic.excerpt = Some(line.excerpt(place.manifest, secret_places));
    }
    diagnostic
}

/// Sorts places and merges those that overlap.
fn merged(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_by_key(|place| (place.manifest, place.start));
    let mut all: Vec<Place> = Vec::with_capacity(places.len());
    for place in places {
        match all.last_mut() {
            Some(last) if last.manifest == place.manifest && place.start <= last.end => {
                last.end = last.end.max(place.end)
            }
            _ => all.push(place),
        }
    }
    all
}

/// The first line of a place.
struct Line<'a> {
    text: &'a str,
    /// Offset of the line in its manifest.
    offset: usize,
    column: usize,
    length: usize,
}

impl<'a> Line<'a> {
    fn around(manifest: &'a str, place: Place) -> Self {
        let start = manifest.floor_char_boundary(place.start);
        let end = manifest.floor_char_boundary(place.end).max(start);
        let (before, rest) = manifest.split_at_checked(start).unwrap_or((manifest, ""));
        let offset = before.rfind('\n').map_or(0, |at| at + 1);
        let stop = rest.find('\n').map_or(manifest.len(), |at| start + at);
        let text = manifest.get(offset..stop).unwrap_or_default().trim_end_matches('\r');
        let marked = manifest.get(start..end.min(stop)).unwrap_or_default().trim_end();
        Self {
            text,
            offset,
            column: manifest.get(offset..start).unwrap_or_default().chars().count() + 1,
            length: marked.chars().count().max(1),
        }
    }

    fn excerpt(&self, manifest: usize, secret_places: &[Place]) -> Excerpt {
        let hidden = |at: usize| {
            let after = secret_places.partition_point(|place| (place.manifest, place.start) <= (manifest, at));
            let last = after.checked_sub(1).and_then(|last| secret_places.get(last));
            last.is_some_and(|place| place.manifest == manifest && at < place.end)
        };
        let skipped =
            if self.text.chars().count() > EXCERPT_CHARS { self.column.saturating_sub(EXCERPT_LEAD) } else { 0 };
        let shown = self.text.char_indices().skip(skipped).take(EXCERPT_CHARS).map(|(at, c)| {
            if hidden(self.offset + at) {
                '*'
            } else if wattle_printable::is_harmful(c) && c != '\t' {
                // Control characters of a manifest must not reach the terminal.
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        });
        Excerpt { text: shown.collect(), start: self.column - 1 - skipped.min(self.column - 1) }
    }
}
