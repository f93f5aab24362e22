//! `wattle rollback`: rolls pipelines of a running agent back.

use hyper::Method;

use super::reload::show;
use crate::cli::RollbackOptions;
use crate::client::{self, data_dir};
use crate::exit::{Done, Failure};

pub(crate) fn rollback(options: &RollbackOptions) -> Done {
    let path = match &options.pipeline {
        Some(name) if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-') => {
            return Err(Failure::new(format!("`{name}` is not a valid name of a pipeline")));
        }
        Some(name) => format!("/rollback/{name}"),
        None => "/rollback".to_owned(),
    };
    let text = client::send(&data_dir(&options.place)?, Method::POST, &path, options.timeout)?;
    show(&text, options.json)
}
