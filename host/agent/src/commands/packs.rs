//! `wattle packs`: what can be named in `pack = "..."`.

use crate::builtin;
use crate::cli::PacksOptions;
use crate::configuration::environment;
use crate::exit::{Done, print};

pub(crate) fn packs(options: &PacksOptions) -> Done {
    let folder = options.library.clone().unwrap_or_else(|| wattle_pack::default_data_dir(&environment).join("packs"));
    for (name, version) in builtin::library().with_folder(folder).list() {
        print(&format!("{name}@{version}"))?;
    }
    Ok(())
}
