//! Makes one document of the sources of the page in `src/admin/page`, with style and scripts inside, compressed, with the
//! policy that permits exactly these.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

const FOLDER: &str = "src/admin/page";
const STYLE: &str = "<link rel=\"stylesheet\" href=\"page.css\">";
/// What a line that names a script begins and ends with.
const SCRIPT: (&str, &str) = ("<script src=\"", "\"></script>");
/// Runs the script once the browser has shown the first frame. A script that runs earlier, also after the callback of the
/// frame, takes the core from the threads that draw it.
const START: &str = "{
  let isRun = false;
  const run = () => {
    if (isRun) return;
    isRun = true;
    const script = document.createElement(\"script\");
    script.textContent = document.getElementById(\"script\").textContent;
    document.body.append(script);
  };
  // A page in the background has no frames.
  if (document.hidden) run();
  else {
    new PerformanceObserver(run).observe({ type: \"paint\", buffered: true });
    // For a browser that does not report when it paints.
    requestAnimationFrame(() => setTimeout(run, 300));
  }
}
";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let folder = Path::new(FOLDER);
    let read = |name: &str| {
        fs::read_to_string(folder.join(name)).map_err(|error| format!("{}: {error}", folder.join(name).display()))
    };
    let style = read("page.css")?;
    let (mut page, mut script) = (String::new(), String::new());
    for line in read("page.html")?.lines() {
        match line.strip_prefix(SCRIPT.0).and_then(|rest| rest.strip_suffix(SCRIPT.1)) {
            Some(name) => script.push_str(&read(name)?),
            // The scripts are the last lines of the body.
            None if line == "</body>" => {
                script = format!("\"use strict\";\n(() => {{\n{script}}})();\n");
                page.push_str(&format!(
                    "<script type=\"text/plain\" id=\"script\">{script}</script>\n<script>{START}</script>\n</body>\n"
                ));
            }
            None => page.push_str(&format!("{}\n", line.replace(STYLE, &format!("<style>{style}</style>")))),
        }
    }
    // A browser ends the element at the first of these, wherever it stands.
    if script.is_empty() || script.contains("</script") || style.contains("</style") || !page.contains(&style) {
        return Err(format!(
            "{FOLDER}/page.html must name its style and its scripts, and they must not end themselves"
        )
        .into());
    }
    let policy = format!(
        "default-src 'none'; script-src '{}' '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        source(&script),
        source(START),
        source(&style)
    );
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(page.as_bytes())?;
    let compressed = encoder.finish()?;
    let out = std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&out).join("page.html"), &page)?;
    fs::write(Path::new(&out).join("page.html.gz"), compressed)?;
    println!("cargo::rustc-env=WATTLE_PAGE_POLICY={policy}");
    // Quoted, as the header has it.
    println!("cargo::rustc-env=WATTLE_PAGE_TAG=\"{}\"", STANDARD.encode(Sha256::digest(&page)));
    Ok(())
}

/// The hash by which a policy permits an element.
fn source(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
