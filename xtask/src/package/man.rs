//! Manual pages from what `--help` prints, one for each command.
//!
//! `clap_mangen` would need the command line of the agent, and so the whole agent as a dependency. `--help` has the same
//! text in a form that is fixed: sections that begin at the margin, items two blanks to the right, their texts further right.

use std::fmt::Write as _;

use anyhow::Context as _;

/// Prints the help of a command.
pub(crate) type Help<'a> = &'a dyn Fn(&[&str]) -> anyhow::Result<String>;

/// The pages of all commands: name and text.
pub(crate) fn pages(print: Help<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let version = print(&["--version"])?;
    let mut pages = Vec::new();
    add(print, version.trim(), &[], &mut pages)?;
    Ok(pages)
}

fn add(print: Help<'_>, version: &str, command: &[&str], pages: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    let help = print(&[command, &["--help"]].concat())?;
    let name = [&["wattle"], command].concat().join("-");
    let subcommands = subcommands(&help);
    pages.push((name.clone(), page(&name, version, &help).with_context(|| format!("the help of {name}"))?));
    for subcommand in subcommands {
        add(print, version, &[command, &[subcommand]].concat(), pages)?;
    }
    Ok(())
}

/// The commands in the section `Commands:`, without `help`.
fn subcommands(help: &str) -> Vec<&str> {
    let section = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let items = section.take_while(|line| line.is_empty() || line.starts_with(' '));
    let items = items.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    items.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect()
}

fn page(name: &str, version: &str, help: &str) -> anyhow::Result<String> {
    let (about, rest) = help.split_once("\nUsage: ").context("`Usage:` is missing")?;
    let (usage, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let (summary, _) = about.split_once("\n\n").unwrap_or((about, ""));
    let summary = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut page = format!(".TH {} 1 \"\" \"{}\" \"Wattle\"\n", escape(&name.to_uppercase()), escape(version));
    write!(page, ".SH NAME\n{} \\- {}\n", escape(name), escape(&summary))?;
    write!(page, ".SH SYNOPSIS\n.B {}\n", escape(usage))?;
    page += ".SH DESCRIPTION\n";
    text(&mut page, about.lines(), ".PP");
    sections(&mut page, rest);
    Ok(page)
}

/// The sections after the usage.
fn sections(page: &mut String, help: &str) {
    let mut lines = help.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let mut body = Vec::new();
        while let Some(next) = lines.next_if(|next| next.is_empty() || next.starts_with(' ')) {
            body.push(next);
        }
        match line {
            "Options:" | "Arguments:" | "Commands:" => {
                writeln!(page, ".SH {}", line.trim_end_matches(':').to_uppercase()).ok();
                items(page, &body);
            }
            _ if line.ends_with(':') => {
                writeln!(page, ".SH {}", escape(&line.trim_end_matches(':').to_uppercase())).ok();
                // Examples: each line stays as it is.
                page.push_str(".nf\n");
                for line in body.iter().filter(|line| !line.is_empty()) {
                    writeln!(page, "{}", escape(line.trim())).ok();
                }
                page.push_str(".fi\n");
            }
            // A sentence at the margin, which can continue there.
            _ => {
                page.push_str(".PP\n");
                text(page, std::iter::once(line).chain(body), ".PP");
            }
        }
    }
}

/// Options, arguments and commands. The text of an item is on the next lines or behind two blanks.
fn items(page: &mut String, lines: &[&str]) {
    let is_head = |line: &str| line.starts_with("  ") && indent(line) <= 6 && !line.trim().is_empty();
    let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
    for &line in lines {
        if is_head(line) {
            let (head, text) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
            parts.push((head, if text.is_empty() { Vec::new() } else { vec![text.trim()] }));
        } else if let Some((_, text)) = parts.last_mut() {
            text.push(line);
        }
    }
    for (head, body) in parts {
        writeln!(page, ".TP\n.B {}", escape(head)).ok();
        text(page, body.into_iter(), ".IP");
    }
}

/// Paragraphs and lists; an empty line begins a paragraph.
fn text<'a>(page: &mut String, lines: impl Iterator<Item = &'a str>, paragraph: &str) {
    let (mut is_open, mut is_pending) = (false, false);
    for line in lines {
        let line = line.trim();
        if line.is_empty() {
            is_pending = is_open;
            continue;
        }
        if is_pending {
            writeln!(page, "{paragraph}").ok();
            is_pending = false;
        } else if is_open && line.starts_with(['-', '[']) {
            page.push_str(".br\n");
        }
        writeln!(page, "{}", escape(line)).ok();
        is_open = true;
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Text that roff prints as it is.
fn escape(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    // A line that begins with one of these is a request.
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = "Run the agent\n\nIt reads.\n\nUsage: wattle run [OPTIONS] [FILE]\n\nArguments:\n  [FILE]\n          \
                        Configuration file\n\nOptions:\n  -c, --config <FILE>\n          The same\n          as FILE\n          \n          \
                        [env: X=]\n\n      --once\n          .dot\n\n  -h, --help  Print help\n\nSignals: SIGHUP reloads.\n\nExamples:\n  \
                        wattle run a\\b\n  wattle run c\n";

    #[test]
    fn a_page_has_every_part_of_the_help() {
        let page = page("wattle-run", "wattle 1.0", HELP).unwrap();
        let expected = ".TH WATTLE\\-RUN 1 \"\" \"wattle 1.0\" \"Wattle\"\n\
                        .SH NAME\nwattle\\-run \\- Run the agent\n\
                        .SH SYNOPSIS\n.B wattle run [OPTIONS] [FILE]\n\
                        .SH DESCRIPTION\nRun the agent\n.PP\nIt reads.\n\
                        .SH ARGUMENTS\n.TP\n.B [FILE]\nConfiguration file\n\
                        .SH OPTIONS\n.TP\n.B \\-c, \\-\\-config <FILE>\nThe same\nas FILE\n.IP\n[env: X=]\n\
                        .TP\n.B \\-\\-once\n\\&.dot\n.TP\n.B \\-h, \\-\\-help\nPrint help\n\
                        .PP\nSignals: SIGHUP reloads.\n\
                        .SH EXAMPLES\n.nf\nwattle run a\\eb\nwattle run c\n.fi\n";
        assert_eq!(page, expected);
    }

    #[test]
    fn every_subcommand_has_a_page() {
        let print = |arguments: &[&str]| {
            Ok(match arguments {
                ["--version"] => "wattle 1.0\n",
                ["--help"] => {
                    "An agent\n\nUsage: wattle <COMMAND>\n\nCommands:\n  pack  Packs\n  run   Run\n  help  Help\n"
                }
                ["pack", "--help"] => "Packs\n\nUsage: wattle pack <COMMAND>\n\nCommands:\n  new   New\n  help  Help\n",
                ["pack", "new", "--help"] | ["run", "--help"] => "It\n\nUsage: wattle it\n",
                other => panic!("{other:?}"),
            }
            .to_owned())
        };
        let names: Vec<String> = pages(&print).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["wattle", "wattle-pack", "wattle-pack-new", "wattle-run"]);
    }
}
