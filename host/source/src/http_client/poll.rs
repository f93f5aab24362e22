//! The loop: pages, runs, and pauses.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wattle_batch::Span;
use wattle_http_client::Client;
use wattle_tls::Endpoint;

use super::TYPE;
use super::deliver::{Stopped, deliver};
use super::failure::{Action, Again, Failure, Kind, Reports};
use super::link;
use super::page::{Item, Page};
use super::request::pause;
use super::settings::{Pagination, Settings};
use super::since;
use super::state::{Entry, EventId, Next, Restored, State};
use crate::assemble::cut;
use crate::error::SourceError;
use crate::pauses::Pauses;
use crate::positions::{Saved, Store};
use crate::source::SourceContext;
use crate::stats::add;

/// Pauses after failures that may be over soon.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_mins(5);

/// Longest time by which a wait that the server asks for is extended, so that agents with one account do not come back
/// together.
const MAX_JITTER: Duration = Duration::from_secs(5);

/// Statuses with which servers answer a page that they do not know any more.
const FORGOTTEN: [u16; 4] = [400, 404, 410, 422];

/// Refusals of a page in a row after which the source begins again at the first page.
const MAX_REFUSALS: u32 = 3;

/// Polls until the source stops, or with `once` until one run has reached the last page.
///
/// # Errors
///
/// The saved position cannot be read, or with `once` an operator must act.
pub(super) async fn run(settings: Arc<Settings>, context: SourceContext) -> Result<(), SourceError> {
    let store = Arc::new(Store::open(&context.data_dir.join("sources").join(&*context.name))?);
    let state = load(&store, &settings, &context)?;
    let mut poller = Poller {
        settings,
        context,
        store,
        state,
        client: None,
        reports: Reports::default(),
        pauses: Pauses::new(FIRST_PAUSE, LAST_PAUSE),
        warned: Warned::default(),
        hasher: RandomState::new(),
        refusals: 0,
    };
    // Otherwise a relative start would move with each restart until the API responds.
    poller.save().await;
    poller.context.stats.start();
    poller.run().await
}

fn load(store: &Store<Entry>, settings: &Settings, context: &SourceContext) -> Result<State, SourceError> {
    let mut state = State::default();
    match store.load()? {
        Saved::Never => {}
        Saved::Lost => tracing::warn!(
            source = %context.name,
            "the position in the API was saved and cannot be read; beginning as at the first start"
        ),
        Saved::Entries(entries) => {
            for entry in entries.into_iter().take(1) {
                let (restored, how) = State::restore(entry, &settings.identity, settings.since.as_ref());
                state = restored;
                match how {
                    Restored::Whole => {}
                    Restored::OtherRequest => tracing::warn!(
                        source = %context.name,
                        "the request changed, so the saved page is not used; beginning at the first page"
                    ),
                    Restored::OtherApi => tracing::warn!(
                        source = %context.name,
                        "the address or the events changed, so the saved position is not used; beginning as at the first start"
                    ),
                }
            }
        }
    }
    state.since = state.since.or_else(|| settings.since.as_ref().map(since::Since::first));
    Ok(state)
}

/// A run.
struct Run {
    began: Instant,
    pages: u64,
    bytes: u64,
    /// Hashes of the pages that it requested, but for the first one.
    requested: HashSet<u64>,
}

impl Run {
    fn begin() -> Self {
        Self { began: Instant::now(), pages: 0, bytes: 0, requested: HashSet::new() }
    }
}

/// What comes after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Page,
    /// The run ends at a limit, before the last page.
    Limit,
    /// The run has reached the last page.
    End,
}

/// What was logged once.
#[derive(Default)]
struct Warned {
    no_items: bool,
    no_mark: bool,
    not_utf8: bool,
    forgets: bool,
    same_page: bool,
}

struct Poller {
    settings: Arc<Settings>,
    context: SourceContext,
    store: Arc<Store<Entry>>,
    state: State,
    client: Option<Client>,
    reports: Reports,
    pauses: Pauses,
    warned: Warned,
    hasher: RandomState,
    /// How often in a row the server refused the page in a way that can mean that it does not know it any more.
    refusals: u32,
}

/// How the work on a page ended without a failure.
struct Done {
    after: After,
    /// No request is allowed until then.
    pause: Option<Duration>,
}

impl Poller {
    async fn run(&mut self) -> Result<(), SourceError> {
        let mut run = Run::begin();
        loop {
            let mut stop = self.context.stop.clone();
            let done = tokio::select! {
                biased;
                // A request is given up; a page in delivery is waited for.
                () = stop.stopped() => return Ok(()),
                fetched = self.page(&run) => fetched,
            };
            let done = match done {
                Ok((page, pause)) => match self.finish(page, &mut run).await {
                    Ok(after) => Ok(Done { after: after?, pause }),
                    Err(Stopped) => return Ok(()),
                },
                Err(failure) => Err(failure),
            };
            let wait = match done {
                Ok(Done { after: After::Page, pause }) => pause.map(jittered).unwrap_or_default(),
                Ok(Done { after, pause }) => {
                    if self.context.once && after == After::End {
                        drop(self.context.end_of_input());
                        return Ok(());
                    }
                    let began = std::mem::replace(&mut run, Run::begin()).began;
                    let interval = if self.context.once { Duration::ZERO } else { self.settings.interval };
                    interval.saturating_sub(began.elapsed()).max(pause.map(jittered).unwrap_or_default())
                }
                Err(failure) => {
                    let had_page = self.state.next.is_some();
                    let wait = self.failed(&failure)?;
                    if had_page && self.state.next.is_none() {
                        // It begins again at the first page, so it comes to the same ones.
                        run = Run::begin();
                    }
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.stopped() => return Ok(()),
            }
            if run.pages == 0 {
                run.began = Instant::now();
            }
        }
    }

    /// Reports a failure; returns how long to wait.
    ///
    /// # Errors
    ///
    /// An operator must act, and the source is to end.
    fn failed(&mut self, failure: &Failure) -> Result<Duration, SourceError> {
        self.reports.failed(&self.context, Action::Poll, failure);
        let is_forgotten = matches!(failure.kind, Kind::Status(status) if FORGOTTEN.contains(&status));
        let is_named = matches!(self.state.next, Some(Next::Url(_) | Next::Cursor(_)));
        self.refusals = if is_forgotten && is_named { self.refusals + 1 } else { 0 };
        if self.refusals == MAX_REFUSALS {
            self.refusals = 0;
            tracing::warn!(
                source = %self.context.name,
                "the server does not know the saved page any more; beginning again at the first page, from where all events \
                 were delivered"
            );
            let forgotten = self.state.begin_again(self.settings.since.as_ref());
            self.forget(forgotten);
            return Ok(self.pauses.next().max(self.settings.interval));
        }
        Ok(match failure.again {
            Again::Backoff => self.pauses.next(),
            Again::After(wait) => jittered(wait).max(self.pauses.next()),
            Again::Operator if self.context.once => {
                let (name, error) = (self.context.name.to_string(), failure.text.clone().into());
                return Err(SourceError::Input { name, error });
            }
            Again::Operator => self.pauses.next().max(self.settings.interval),
        })
    }

    /// Requests the next page and finds its events; changes nothing.
    async fn page(&mut self, run: &Run) -> Result<(Read, Option<Duration>), Failure> {
        if self.client.is_none() {
            let endpoint = Endpoint::Source(self.context.name.clone());
            let made = Client::new(&endpoint, &self.settings.server);
            self.client = Some(made.map_err(|error| Failure::lasting(Kind::Setup, error.to_string()))?);
        }
        let Some(client) = &self.client else {
            return Err(Failure::lasting(Kind::Setup, "there is no client"));
        };
        let response = self.settings.fetch(client, &self.state).await?;
        let pause = pause(&response.headers);
        let bytes = response.body().len() as u64;
        let settings = self.settings.clone();
        // A large page takes tens of milliseconds.
        let read = tokio::task::spawn_blocking(move || Page::read(&response, &settings));
        let page = read.await.map_err(|_| Failure::passing(Kind::Content, "the thread panicked; this is a bug"))??;
        let next = self.next(&page)?;
        self.reports.worked(&self.context, Action::Poll);
        self.pauses.reset();
        self.refusals = 0;
        add(&self.context.stats.read_bytes, bytes);
        tracing::debug!(
            source = %self.context.name, page = run.pages + 1, events = page.items.len(), bytes, "read a page of the API"
        );
        Ok((Read { page, next, bytes }, pause))
    }

    /// The page after this one.
    ///
    /// # Errors
    ///
    /// It is at another server.
    fn next(&self, page: &Page) -> Result<Option<Next>, Failure> {
        let count = page.items.len() as u64;
        let is_last = |page_size: Option<u64>| {
            page.has_more == Some(false) || count == 0 || page_size.is_some_and(|size| count < size)
        };
        Ok(match (&self.settings.pagination, &page.next) {
            (Pagination::None, _) => None,
            (Pagination::Link | Pagination::NextUrl { .. }, Some(text)) => {
                let from = self.settings.uri(&self.state)?;
                let uri = link::resolve(text, &from);
                Some(Next::Url(uri.map_err(|error| Failure::lasting(Kind::Link, error.to_string()))?.to_string()))
            }
            // Connections of GraphQL have a cursor after their last page, too, where nothing follows if the newest
            // events come first.
            (Pagination::Cursor { .. }, Some(_)) if page.has_more == Some(false) && self.settings.since.is_some() => {
                None
            }
            (Pagination::Cursor { .. }, Some(cursor)) => Some(Next::Cursor(cursor.clone())),
            (Pagination::Link | Pagination::NextUrl { .. } | Pagination::Cursor { .. }, None) => None,
            (Pagination::Page { start, page_size, .. }, _) => {
                let current = if let Some(Next::Page(page)) = self.state.next { page } else { *start };
                (!is_last(*page_size)).then(|| Next::Page(current.saturating_add(1)))
            }
            (Pagination::Offset { start, page_size, .. }, _) => {
                let current = if let Some(Next::Offset(offset)) = self.state.next { offset } else { *start };
                (!is_last(*page_size)).then(|| Next::Offset(current.saturating_add(count)))
            }
        })
    }

    /// Delivers a page, and moves past it.
    ///
    /// The outer error is the stop; the inner one ends the source.
    async fn finish(&mut self, read: Read, run: &mut Run) -> Result<Result<After, SourceError>, Stopped> {
        let Read { page, next, bytes } = read;
        add(&self.context.stats.skipped_empty, page.empty);
        self.warn_of(&page);
        let (count, has_more) = (page.items.len(), page.has_more);
        let items: Vec<Item> =
            page.items.into_iter().filter(|item| item.id.is_none_or(|id| !self.state.seen.contains_key(&id))).collect();
        let spans: Vec<Span> = items.iter().map(|item| item.span).collect();
        let chunks = cut(&page.body, spans, 0, page.body.len() as u64, &self.context.limits);
        let columns = chunks.into_iter().map(|chunk| chunk.column).collect();
        let facts = [("endpoint".to_owned(), self.settings.endpoint.public().into())];
        let origin = self.context.origin_of(TYPE, facts.into_iter().collect());
        deliver(columns, &origin, &self.context).await?;
        self.remember(&items);
        run.pages += 1;
        run.bytes += bytes.max(page.body.len() as u64);
        let after = self.advance(next, count, has_more, run);
        self.save().await;
        let after = match after {
            Ok(after) => {
                if after == After::End {
                    self.reports.worked(&self.context, Action::Paginate);
                }
                after
            }
            Err(failure) => {
                self.reports.failed(&self.context, Action::Paginate, &failure);
                if self.context.once {
                    let (name, error) = (self.context.name.to_string(), failure.text.into());
                    return Ok(Err(SourceError::Input { name, error }));
                }
                After::End
            }
        };
        Ok(Ok(after))
    }

    fn remember(&mut self, items: &[Item]) {
        let settings = self.settings.clone();
        let Some(since) = &settings.since else { return };
        let now = since::now();
        let newest = items.iter().filter_map(|item| item.mark).filter(|mark| since.counts(*mark, now)).max();
        let events = items.iter().filter_map(|item| item.id.zip(item.mark));
        let forgotten = self.state.remember(events.collect::<Vec<(EventId, _)>>(), newest, since);
        self.forget(forgotten);
    }

    /// Moves to the next page, or ends the run.
    fn advance(
        &mut self,
        next: Option<Next>,
        count: usize,
        has_more: Option<bool>,
        run: &mut Run,
    ) -> Result<After, Failure> {
        let since = self.settings.since.clone();
        let Some(next) = next else {
            let forgotten = self.state.finish(since.as_ref());
            self.forget(forgotten);
            return Ok(After::End);
        };
        let is_same = self.state.next.as_ref() == Some(&next);
        if is_same && count > 0 && !std::mem::replace(&mut self.warned.same_page, true) {
            tracing::warn!(
                source = %self.context.name,
                "the server names a page with events as its own next page, so the next run may get these events again"
            );
        }
        let is_numbered = matches!(next, Next::Page(_) | Next::Offset(_));
        if !is_numbered && (is_same || count == 0 || has_more == Some(false)) {
            self.state.keep(next, is_same || has_more == Some(false));
            return Ok(After::End);
        }
        if !run.requested.insert(self.hasher.hash_one(&next)) {
            self.state.next = None;
            self.state.newest = None;
            let text = "a page leads back to an earlier one of the same run; the run ends there, and the next one begins at the \
                        first page";
            return Err(Failure::lasting(Kind::Loop, text));
        }
        self.state.next = Some(next);
        if run.pages < self.settings.max_pages && run.bytes < self.settings.max_run_bytes {
            return Ok(After::Page);
        }
        tracing::info!(
            source = %self.context.name, pages = run.pages, bytes = run.bytes,
            "the run ends at `max_pages` or `max_run_bytes`; the next one goes on"
        );
        Ok(After::Limit)
    }

    fn warn_of(&mut self, page: &Page) {
        if page.is_repaired && !std::mem::replace(&mut self.warned.not_utf8, true) {
            tracing::warn!(
                source = %self.context.name,
                "a page of JSON has bytes that are not UTF-8; they are replaced by U+FFFD, and events are delivered"
            );
        }
        if page.is_without_items && !std::mem::replace(&mut self.warned.no_items, true) {
            tracing::warn!(
                source = %self.context.name,
                "a page has nothing at `items_path`, which counts as a page without events; check the option if there should be \
                 some"
            );
        }
        let has_marks = page.items.is_empty() || page.items.iter().any(|item| item.mark.is_some());
        if self.settings.since.is_some() && !has_marks && !std::mem::replace(&mut self.warned.no_mark, true) {
            tracing::warn!(
                source = %self.context.name,
                "no event of a page has a value at `since.path`, so the next run begins where this one did; check the option"
            );
        }
    }

    fn forget(&mut self, events: usize) {
        if events > 0 && !std::mem::replace(&mut self.warned.forgets, true) {
            tracing::warn!(
                source = %self.context.name, events,
                "more events than can be remembered are at or after the start of the next run, so some may come twice; make \
                 `since.overlap` shorter"
            );
        }
    }

    /// Saves the position. Without it, a restart only sends events again.
    async fn save(&self) {
        let entry = self.state.entry(&self.settings.identity, self.settings.since.as_ref());
        let store = self.store.clone();
        let saved = tokio::task::spawn_blocking(move || store.save(|| Some(vec![entry]))).await;
        match saved {
            Ok(Ok(())) => self.reports.worked(&self.context, Action::Save),
            Ok(Err(error)) => {
                self.reports.failed(&self.context, Action::Save, &Failure::lasting(Kind::Disk, error.to_string()));
            }
            Err(_) => {
                let failure = Failure::passing(Kind::Disk, "the thread panicked; this is a bug");
                self.reports.failed(&self.context, Action::Save, &failure);
            }
        }
    }
}

/// A page that was read, and not delivered.
struct Read {
    page: Page,
    next: Option<Next>,
    /// Bytes of the response.
    bytes: u64,
}

/// A wait that the server asks for, a little longer.
fn jittered(wait: Duration) -> Duration {
    wait + (wait / 10).min(MAX_JITTER).mul_f64(fastrand::f64())
}
