//! The settings of an agent for commands that do not load the rest of its configuration, and what
//! diagnostics hide.

use std::fs;

use wattle_manifest::{ConfigOrigin, load, read_settings};

use crate::fakes::{FakeEndpoints, FakeNodes, env, library};

/// The data folder that a configuration names, or the problems.
fn data_dir(text: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("agent.toml");
    fs::write(&file, text).unwrap();
    match read_settings(ConfigOrigin::Files(&[file]), &env) {
        Ok(settings) => {
            Ok(settings.data_dir.strip_prefix(folder.path()).unwrap_or(&settings.data_dir).display().to_string())
        }
        Err(invalid) => Err(invalid.diagnostics.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; ")),
    }
}

#[test]
fn the_data_folder_is_never_guessed() {
    assert_eq!(data_dir("[agent]\ndata_dir = \"here\"\nworkers = 0\n"), Ok("here".to_owned()));
    assert_eq!(data_dir("[sources.a]\ntype = 5\n"), Ok("/nonexistent/wattle".to_owned()));
    for text in [
        "[agent]\ndata_dir = \"here\"\ngarbage [",
        "[agent]\ndata_dir = 5\n",
        "[agent]\ndata_dir = \"${NOT_SET}\"\n",
        "agent = 5\n",
    ] {
        assert!(data_dir(text).is_err_and(|problems| !problems.is_empty()), "{text}");
    }
    let absent = read_settings(ConfigOrigin::Files(&["/absent/agent.toml".into()]), &env).unwrap_err();
    assert!(absent.diagnostics[0].message.contains("there is no such file"));
}

#[test]
fn a_secret_in_the_text_is_in_no_form_of_a_diagnostic() {
    let form = |fault: &str| {
        format!(
            "[sources.in]\ntype = \"stdin\"\n[pipelines.p]\ninputs = [\"in\"]\n[pipelines.p.outputs.o]\n\
             inputs = [\"input\"]\n[sinks.web]\ntype = \"http\"\ninputs = [\"p.o\"]\n{fault}\n"
        )
    };
    for fault in [
        "auth = { strtegy = \"bearer\", token = \"hunter2!\" }",
        "auth = { strategy = \"bearer\" token = \"hunter2!\" }",
        "auth = { strategy = \"bearer\", token = \"hunter2! }",
        "auth = { token = hunter2! }",
        "token = 1 # the password = hunter2!",
        "typo = 1\nheaders = { X-Key = \"hunter2!\" ",
        "hmac_key = [\"hunter2!\"",
        "[sinks.web.pasword]\nprivate_key = \"\"\"hunter2!",
        "uri = \"http://me:hunter2!@host\" x",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        fs::write(&file, form(fault)).unwrap();
        let diagnostics = match load(ConfigOrigin::Files(&[file]), &env, &FakeNodes, &FakeEndpoints, &library()) {
            Ok((_, warnings)) => warnings,
            Err(invalid) => invalid.diagnostics,
        };
        for diagnostic in diagnostics {
            for form in
                [diagnostic.render(true), diagnostic.render_line(), diagnostic.render_json(), format!("{diagnostic:?}")]
            {
                assert!(!form.contains("hunter2"), "{fault}: {form}");
            }
        }
    }
}
