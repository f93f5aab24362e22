//! What a node decides about a row, given the joined event that is open for its key.

/// The state of an open joined event: [`START`] is the state without one.
pub(crate) type State = u16;

/// No joined event is open.
pub(crate) const START: State = 0;

/// The decision about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It belongs to no joined event, and ends the open one.
    Alone,
    /// It only marks the end of an event that has ended already.
    Marker,
    /// It begins a joined event, and ends the open one.
    Begin(Next),
    /// It belongs to the open joined event.
    Join(Next),
}

/// What comes after a row of a joined event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Next {
    pub(crate) state: State,
    /// The row is the last one.
    pub(crate) ends: bool,
}
