//! Tries packs on recent events of a running agent.

use std::time::Duration;

use wattle_api::trial::Tried;

use super::check_output;
use crate::cli::try_pack::{RecentWhere, TryOptions};
use crate::cli::{AgentAddress, AgentPlace};
use crate::client::{Client, block_on, query};
use crate::commands::tap::ADVICE;
use crate::exit::Failure;
use crate::waiting::Waiting;

/// How long the agent may take: to compile the packs, to wait for other trials, and to run them.
const TIMEOUT: Duration = Duration::from_secs(150);

/// Has the agent run the trial.
pub(super) fn run(options: &TryOptions, entered: RecentWhere) -> Result<Tried, Failure> {
    let place = AgentPlace { config: options.library.config.clone(), data_dir: options.recent.data_dir.clone() };
    let client = Client::new(&AgentAddress { url: options.recent.url.clone(), place })?;
    let entered = match entered {
        RecentWhere::Taken => "taken",
        RecentWhere::Input => "input",
    };
    let named = [("pipeline", &options.recent.pipeline), ("pack", &options.pack), ("against", &options.against)];
    let mut pairs = vec![("recent", entered)];
    pairs.extend(named.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))));
    let path = format!("/try?{}", query(&pairs)?);
    let mut tried: Tried = {
        let _waiting = Waiting::start("trying", || Some("the recent events".to_owned()));
        block_on(async { client.post(&path, TIMEOUT).await })?.map_err(|error| error.failure(ADVICE))?
    };
    if let Some(name) = &options.output {
        let packs = [Some(&tried.result), tried.against.as_ref()].into_iter().flatten();
        let outputs = packs.flat_map(|pack| &pack.outputs).map(|output| output.name.as_str());
        check_output(name, &tried.result.pack, outputs)?;
    }
    cut(&mut tried, options.limit.into(), options.trace.into());
    Ok(tried)
}

/// Leaves out samples and traces beyond the numbers of the command line; the agent returns some more.
fn cut(tried: &mut Tried, samples: usize, traces: usize) {
    for pack in [Some(&mut tried.result), tried.against.as_mut()].into_iter().flatten() {
        pack.outputs.iter_mut().for_each(|output| output.sample.truncate(samples));
        pack.traces.truncate(traces);
    }
    tried.differences.values_mut().for_each(|found| found.first.truncate(samples));
}
