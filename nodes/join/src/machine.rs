//! State machines: in each state, the first rule that matches decides.

use regex::bytes::Regex;
use wattle_node::Setup;

use crate::lines::regex;
use crate::options::Rule;
use crate::step::{Next, START, State, Step};

/// Largest number of states of all rules.
const MAX_STATES: usize = 1000;

/// The rules of all states.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    names: Vec<String>,
    /// The rules of each state in their order: pattern, and the state after it.
    states: Vec<Vec<(Regex, State)>>,
    /// All patterns of the first state, of which most rows match none.
    first: Option<Regex>,
}

impl Machine {
    /// Compiles rules; `at` is their option. Returns `None` after it reported all errors to `setup`.
    pub(crate) fn new(at: &str, rules: &[Rule], setup: &mut Setup<'_>) -> Option<Self> {
        let mut machine = Self::default();
        machine.state("start");
        let mut is_valid = true;
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let pattern = regex(&format!("{at}.pattern"), &rule.pattern, setup);
            is_valid &= pattern.is_some();
            if rule.from.as_slice().is_empty() {
                setup.error(format!("{at}.from"), "at least one state is needed, such as `start`");
                is_valid = false;
            }
            if rule.to == "start" {
                let message =
                    "a joined event cannot return to `start`; name a state without rules to end it, such as `end`";
                setup.error(format!("{at}.to"), message);
                is_valid = false;
            }
            let to = machine.state(&rule.to);
            for from in rule.from.as_slice() {
                let from = machine.state(from);
                if let (Some(pattern), Some(rules)) = (&pattern, machine.states.get_mut(usize::from(from))) {
                    rules.push((pattern.clone(), to));
                }
            }
        }
        if machine.names.len() > MAX_STATES {
            setup.error(at, format!("have {} states; at most {MAX_STATES} are possible", machine.names.len()));
            return None;
        }
        if !rules.iter().any(|rule| rule.from.as_slice().iter().any(|from| from == "start")) {
            setup.error(at, "no rule is `from = \"start\"`, so no joined event would ever begin");
            return None;
        }
        let first: Vec<String> =
            machine.states.first()?.iter().map(|(pattern, _)| format!("(?:{})", pattern.as_str())).collect();
        // Without it, each pattern is tried by itself; a pattern in the verbose mode can swallow the end of its group.
        machine.first = Regex::new(&first.join("|")).ok().filter(|_| first.len() > 1);
        is_valid.then_some(machine)
    }

    /// The number of a state.
    fn state(&mut self, name: &str) -> State {
        let number = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.states.push(Vec::new());
            self.names.len() - 1
        });
        State::try_from(number).unwrap_or(State::MAX)
    }

    /// Decides about a row.
    pub(crate) fn step(&self, text: &[u8], state: State) -> Step {
        if state != START
            && let Some(next) = self.next(text, state)
        {
            return Step::Join(next);
        }
        if self.first.as_ref().is_some_and(|first| !first.is_match(text)) {
            return Step::Alone;
        }
        self.next(text, START).map_or(Step::Alone, Step::Begin)
    }

    fn next(&self, text: &[u8], state: State) -> Option<Next> {
        let rules = self.states.get(usize::from(state))?;
        let (_, to) = rules.iter().find(|(pattern, _)| pattern.is_match(text))?;
        Some(Next { state: *to, ends: self.states.get(usize::from(*to)).is_none_or(Vec::is_empty) })
    }

    /// Whether this is a state of the machine.
    pub(crate) fn has(&self, state: State) -> bool {
        usize::from(state) < self.states.len()
    }
}
