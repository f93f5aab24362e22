//! `wattle pack upgrade`: shows what newer versions change, and pins them.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use jiff::Timestamp;
use wattle_pack::{Library, Lock, Pin, Pinning};
use wattle_runtime::Catalog;

use super::diff::render;
use super::view::view;
use super::{lock_path, refused};
use crate::builtin;
use crate::cli::config_paths;
use crate::cli::pack::UpgradeOptions;
use crate::configuration::{catalog, load};
use crate::exit::{Done, Failure, print};
use wattle_supervisor::Configuration;
use wattle_supervisor::stored;

pub(super) fn upgrade(options: &UpgradeOptions, color: bool) -> Done {
    let path = lock_path(&options.config)?;
    let old = Lock::read(&path).map_err(|invalid| refused(&invalid, color))?;
    let is_first = old.is_none();
    let old = old.unwrap_or_default();
    let names: Vec<String> = options.name.iter().cloned().collect();
    let configuration = Configuration::Files(config_paths(&options.config));
    let settings = configuration.settings();
    let catalog = catalog(&settings.data_dir, settings.artifacts)?;
    let free = builtin::library().with_pinning(Pinning::Ignored(names.clone()));
    let (plan, _) = load(&configuration, &catalog, &free).map_err(|invalid| refused(&invalid, color))?;
    if let Some(name) = options.name.as_ref().filter(|name| plan.packs.iter().all(|used| used.name != **name)) {
        return Err(Failure::config(format!("`{}` uses no pack `{name}`", configuration.name())));
    }
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let new = old.pin_uses(&plan.packs, &names, &now);
    if new.pins == old.pins && !is_first {
        return print("every pin is the newest that the configuration allows");
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let library = builtin::library().with_folder(settings.packs).with_remote(stored(&settings.data_dir));
    let shower = Shower { folder, library, catalog };
    for pin in &new.pins {
        match old.pin(&pin.reference) {
            Some(before) if before == pin => {}
            before => shower.show(before, pin)?,
        }
    }
    for gone in old.pins.iter().filter(|pin| new.pin(&pin.reference).is_none()) {
        print(&format!("{}: not used, no longer pinned", gone.reference))?;
    }
    if !options.yes && !confirmed(&path)? {
        return Err(Failure::new("nothing written"));
    }
    new.write(&path)?;
    let plural = if new.pins.len() == 1 { "" } else { "s" };
    print(&format!("{}: {} pin{plural}", path.display(), new.pins.len()))
}

/// Asks for confirmation on a terminal.
fn confirmed(path: &Path) -> Result<bool, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::new("nothing written; standard input is not a terminal, so add --yes"));
    }
    let mut out = std::io::stderr();
    write!(out, "write this to {}? [y/N] ", path.display())?;
    out.flush()?;
    let mut answer = String::new();
    input.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

struct Shower<'a> {
    folder: &'a Path,
    library: Library,
    catalog: Catalog,
}

impl Shower<'_> {
    /// Shows the changes from one pin to another.
    fn show(&self, before: Option<&Pin>, pin: &Pin) -> Done {
        let Some(before) = before else {
            return print(&format!("{}: {} {} ({})", pin.reference, pin.version, pin.digest, pin.source));
        };
        print(&format!("{}: {} -> {}", pin.reference, before.version, pin.version))?;
        print(&format!("  {} ({})\n  {} ({})", before.digest, before.source, pin.digest, pin.source))?;
        let both = self.view(before).and_then(|old| Some((old, self.view(pin)?)));
        match both {
            // The list of files repeats the sections above it.
            Some((old, new)) => {
                let changes = wattle_manifest::diff(&old, &new);
                let text = render(&changes);
                print(&text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"))
            }
            None => print("  the pinned files no longer exist, so only digests can be compared"),
        }
    }

    /// The pack of a pin, if its files are unchanged.
    fn view(&self, pin: &Pin) -> Option<wattle_manifest::PackView> {
        let reference = match pin.source.as_str() {
            "folder" => self.folder.join(&pin.reference).display().to_string(),
            _ => format!("{}@{}", pin.name, pin.version),
        };
        let view = view(&reference, &self.library, &self.catalog).ok()?;
        (view.outline.digest == pin.digest).then_some(view)
    }
}
