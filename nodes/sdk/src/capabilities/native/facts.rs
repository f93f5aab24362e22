//! Facts about the machine in unit tests: those of a case, or else constant ones.

use std::cell::RefCell;

use wattle_cases::Mocks;

thread_local! {
    static MOCKS: RefCell<Mocks> = RefCell::default();
}

/// Replaces the facts of this thread.
pub(crate) fn set(mocks: &Mocks) {
    MOCKS.set(Mocks { host: mocks.host.clone(), ..Mocks::default() });
}

/// A fact, as the agent gives it.
///
/// # Panics
///
/// There is no fact of this name, which the agent counts as a fault.
pub(crate) fn fact(name: &str) -> Option<String> {
    let is_known = wattle_cases::FACTS.iter().any(|(known, _)| *known == name);
    assert!(is_known, "there is no fact `{name}`");
    MOCKS.with_borrow(|mocks| mocks.facts().get(name).map(|value| (*value).to_owned()))
}
