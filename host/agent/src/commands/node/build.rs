//! `wattle node build`: runs the commands of a project and builds a component from their output.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::cli::node::BuildOptions;
use crate::exit::{Done, Failure, print};
use crate::waiting::Waiting;

use super::project::{Build, Need, Project, Step};
use super::wrap::{component_of, write_whole};

pub(crate) fn build(options: &BuildOptions) -> Done {
    let project = Project::open(&options.project)?;
    let since = Instant::now();
    let size = build_project(&project)?;
    print(&format!(
        "{}: {} kB in {:.1} s",
        project.artifact().display(),
        size.div_ceil(1000),
        since.elapsed().as_secs_f64()
    ))
}

/// Builds a project and returns the size of its component.
pub(crate) fn build_project(project: &Project) -> Result<usize, Failure> {
    let build = &project.manifest.build;
    let found = check_needs(build)?;
    for step in &build.steps {
        run_step(project, step, &found)?;
    }
    let output = project.root.join(&build.output);
    let bytes = std::fs::read(&output).map_err(|error| {
        let output = output.display();
        Failure::new(format!("`{output}`: {error}; the commands of `node.toml` succeeded but did not write it"))
    })?;
    let component = component_of(&bytes, &output)?;
    write_whole(&project.artifact(), &component)?;
    Ok(component.len())
}

/// The programs by the name of their need.
///
/// # Errors
///
/// All needs that are missing.
fn check_needs(build: &Build) -> Result<BTreeMap<String, String>, Failure> {
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for need in &build.needs {
        match look_for(need) {
            Some(program) => {
                found.insert(format!("{{{}}}", need.name), program);
            }
            None => missing.push(format!("{} is missing: {}", need.name, need.install)),
        }
    }
    if missing.is_empty() { Ok(found) } else { Err(Failure::new(missing.join("\nwattle: "))) }
}

fn look_for(need: &Need) -> Option<String> {
    if let Some((program, arguments)) = need.check.split_first() {
        let said = Command::new(program).args(arguments).output().ok().filter(|o| o.status.success())?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        return said.lines().any(|line| line.trim() == need.says).then(String::new);
    }
    need.any.iter().find_map(|name| match name.strip_prefix("rust:") {
        Some(tool) => in_rust(tool),
        None => on_path(name),
    })
}

fn on_path(program: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())?;
    Some(found.to_string_lossy().into_owned())
}

/// A tool inside a Rust toolchain.
fn in_rust(tool: &str) -> Option<String> {
    let printed = Command::new("rustc").args(["--print", "target-libdir"]).output().ok()?;
    let libraries = PathBuf::from(String::from_utf8(printed.stdout).ok()?.trim());
    let path = libraries.parent()?.join("bin").join(tool);
    path.is_file().then(|| path.to_string_lossy().into_owned())
}

fn run_step(project: &Project, step: &Step, found: &BTreeMap<String, String>) -> Done {
    if is_done(project, step) {
        return Ok(());
    }
    let filled = |word: &String| found.iter().fold(word.clone(), |word, (name, program)| word.replace(name, program));
    let words: Vec<String> = step.run.iter().map(filled).collect();
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    // A program inside the project, such as one that an earlier step installed.
    let own = project.root.join(program);
    let program = match own.is_file() {
        true => std::path::absolute(own)?.to_string_lossy().into_owned(),
        false => program.clone(),
    };
    let mut command = Command::new(&program);
    command.args(arguments).current_dir(&project.root);
    // Variables of an outer cargo must not affect the project.
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    let _waiting = Waiting::beside_programs("building", words.join(" "));
    let status = command.status().map_err(|error| Failure::new(format!("could not start `{program}`: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}` ended with {status}", words.join(" ")))) }
}

fn is_done(project: &Project, step: &Step) -> bool {
    let modified = |path: &Path| std::fs::metadata(project.root.join(path)).and_then(|m| m.modified()).ok();
    match (step.unless.as_deref().and_then(modified), &step.newer_than) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(made), Some(source)) => modified(source).is_none_or(|changed| changed <= made),
    }
}
