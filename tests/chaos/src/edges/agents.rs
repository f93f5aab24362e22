//! Agents with the same configuration, and what happens to them.

use std::time::Duration;

use wattle_tests::{Agent, Ended, Folder};

use super::Figures;

/// What can happen to agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `kill -9`, and a start.
    Kill,
    /// A stop in order, and a start.
    Stop,
    /// A changed configuration.
    Reload,
    /// The second agent comes, or goes in one of both ways.
    Member,
}

impl Fault {
    pub(super) const ALL: [Self; 4] = [Self::Kill, Self::Stop, Self::Reload, Self::Member];
}

/// What a log must not have.
const BAD: [&str; 4] = ["thread '", "which is a bug", "reload failed", "are lost"];

struct Member {
    folder: Folder,
    /// `None` while it is down.
    agent: Option<Agent>,
    /// Whether the agent has logged that it runs.
    runs: bool,
}

impl Member {
    /// Takes the agent when it runs: before that, a signal ends it like a kill.
    fn take_running(&mut self) -> Option<Agent> {
        let mut agent = self.agent.take()?;
        if !self.runs {
            agent.wait_for("running");
        }
        Some(agent)
    }
}

/// Agents with the same configuration, of which the first one always comes back.
pub(super) struct Agents {
    /// The configuration; each version must be different, so that a reload has something to apply.
    config: Box<dyn Fn(usize) -> String>,
    version: usize,
    members: Vec<Member>,
    /// Whether a log says that events were lost.
    may_lose: bool,
}

impl Agents {
    /// Starts the first of so many agents.
    pub(super) fn start(count: usize, config: impl Fn(usize) -> String + 'static) -> Self {
        let members = (0..count).map(|_| Member { folder: Folder::new(), agent: None, runs: false }).collect();
        let mut agents = Self { config: Box::new(config), version: 0, members, may_lose: false };
        agents.configure();
        agents.up(0);
        // Only this time: later starts may be killed at once.
        let member = &mut agents.members[0];
        member.agent.as_mut().expect("it was started").wait_for("running");
        member.runs = true;
        agents
    }

    /// The folder of an agent.
    pub(super) fn folder(&self, at: usize) -> &Folder {
        &self.members[at].folder
    }

    fn configure(&self) {
        for member in &self.members {
            member.folder.replace("agent.toml", (self.config)(self.version));
        }
    }

    fn up(&mut self, at: usize) {
        let member = &mut self.members[at];
        let mut command = member.folder.wattle();
        member.agent = Some(Agent::start(command.args(["run", "--config", "agent.toml"])));
        member.runs = false;
    }

    /// Ends an agent that runs.
    fn down(&mut self, at: usize, kills: bool, figures: &mut Figures) {
        let member = &mut self.members[at];
        let agent = if kills { member.agent.take() } else { member.take_running() };
        let Some(agent) = agent else { return };
        let ended = if kills {
            figures.kills += 1;
            agent.kill()
        } else {
            figures.stops += 1;
            agent.signal("TERM");
            agent.ended()
        };
        self.note(&ended, figures);
    }

    fn note(&mut self, ended: &Ended, figures: &mut Figures) {
        let count = |text: &str| ended.log.matches(text).count() as u64;
        figures.reloads += count("reloaded");
        figures.rebalances += count("partitions assigned");
        for bad in BAD {
            assert!(!ended.log.contains(bad), "`{bad}`: {}", ended.log);
        }
        self.may_lose |= ended.log.contains("its input cannot be read again");
    }

    /// Whether an agent has logged that it lost events.
    pub(super) fn has_lost(&self) -> bool {
        self.may_lose
    }

    /// Lets something happen.
    pub(super) fn meet(&mut self, fault: Fault, random: &mut fastrand::Rng, figures: &mut Figures) {
        match fault {
            Fault::Kill | Fault::Stop => {
                self.down(0, fault == Fault::Kill, figures);
                std::thread::sleep(Duration::from_millis(random.u64(..300)));
                self.up(0);
            }
            Fault::Reload => {
                self.version += 1;
                self.configure();
            }
            Fault::Member if self.members.len() < 2 => self.meet(Fault::Reload, random, figures),
            Fault::Member if self.members[1].agent.is_some() => self.down(1, random.bool(), figures),
            Fault::Member => self.up(1),
        }
    }

    /// Stops all agents.
    pub(super) fn end(&mut self, figures: &mut Figures) {
        for at in 0..self.members.len() {
            let Some(agent) = self.members[at].take_running() else { continue };
            let ended = agent.stop();
            self.note(&ended, figures);
        }
    }
}
