//! Generates a month of counts of 42 keys, with incidents at known times.
//!
//! Counts are Poisson numbers whose mean varies: by the profile of the key over the day and the week, from day to day (10 %
//! for a key, 5 % for all), and from interval to interval (15 %; bursty keys far more). Some keys are jobs that run at
//! fixed times.

use fastrand::Rng;

/// Intervals of a day.
pub(crate) const SLOTS: usize = 48;
pub(crate) const DAYS: usize = 30;
/// Days without incidents, in which the node warms up.
pub(crate) const CALM_DAYS: usize = 8;
pub(crate) const INTERVALS: usize = SLOTS * DAYS;

/// How the mean of a key depends on time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Profile {
    /// Always, more by day; the share that varies.
    Day(f64),
    /// On workdays from 8 to 18, and a little at other times.
    Office,
    /// The same at all times.
    Flat,
    /// With a variance far above the mean.
    Bursty,
    /// A job that runs once a day in this slot or the next one.
    Daily(usize),
    /// A job that makes exactly its mean in each interval.
    Clockwork,
}

/// A key.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    /// Events of a typical interval.
    pub(crate) base: f64,
}

/// What happens to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Spike,
    Drop,
    New,
    Vanished,
}

/// An incident.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) kind: Kind,
    pub(crate) key: String,
    /// First interval, and one after the last.
    pub(crate) start: usize,
    pub(crate) end: usize,
    factor: f64,
}

/// A month.
pub(crate) struct Month {
    pub(crate) keys: Vec<Key>,
    pub(crate) incidents: Vec<Incident>,
    /// Intervals at whose start a change is announced, which alters some keys for good.
    pub(crate) changes: Vec<usize>,
    /// Counts by key and interval.
    pub(crate) counts: Vec<Vec<u64>>,
}

/// Day of the week of a day of the month, 0 for Monday: the month begins on a Thursday.
const fn weekday(day: usize) -> usize {
    (day + 3) % 7
}

impl Key {
    /// The mean of an interval.
    fn mean(&self, interval: usize) -> f64 {
        let (day, slot) = (interval / SLOTS, interval % SLOTS);
        let hour = slot as f64 / 2.0;
        match self.profile {
            Profile::Day(share) => {
                let weekend = if weekday(day) >= 5 { 0.7 } else { 1.0 };
                self.base * weekend * (1.0 - share * ((hour - 2.0) / 24.0 * std::f64::consts::TAU).cos())
            }
            Profile::Office if weekday(day) < 5 && (8.0..18.0).contains(&hour) => self.base,
            Profile::Office => self.base * 0.05,
            Profile::Flat | Profile::Bursty | Profile::Clockwork => self.base,
            Profile::Daily(_) => 0.0,
        }
    }
}

fn keys(random: &mut Rng) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut add = |profile, base| keys.push(Key { name: format!("key-{}", keys.len()), profile, base });
    for _ in 0..12 {
        add(Profile::Day(0.2 + 0.5 * random.f64()), 50.0 * 20_f64.powf(random.f64()));
    }
    for _ in 0..10 {
        add(Profile::Office, 20.0 * 10_f64.powf(random.f64()));
    }
    for _ in 0..10 {
        add(Profile::Flat, 0.1 * 50_f64.powf(random.f64()));
    }
    for _ in 0..4 {
        add(Profile::Bursty, 2.0 + 10.0 * random.f64());
    }
    for _ in 0..4 {
        add(Profile::Daily(random.usize(..SLOTS - 1)), 1.0 + 40.0 * random.f64());
    }
    for _ in 0..2 {
        add(Profile::Clockwork, (2.0 + 10.0 * random.f64()).floor());
    }
    keys
}

/// Incidents on keys and at times at which a person would see them: before a spike 5 events are normal in an interval,
/// before a drop 30.
fn incidents(keys: &[Key], random: &mut Rng) -> Vec<Incident> {
    let mut made: Vec<Incident> = Vec::new();
    let is_free = |made: &[Incident], key: &str, start: usize, end: usize| {
        made.iter().all(|other| other.key != key || end + SLOTS < other.start || other.end + SLOTS < start)
    };
    for (kind, count) in [(Kind::Spike, 8), (Kind::Drop, 8), (Kind::Vanished, 6)] {
        let mut left = count;
        while left > 0 {
            let key = &keys[random.usize(..keys.len())];
            let start = random.usize(CALM_DAYS * SLOTS..INTERVALS - 3 * SLOTS);
            let (length, factor) = match kind {
                Kind::Spike => (random.usize(1..8), 3.0 + 7.0 * random.f64()),
                Kind::Drop => (random.usize(2..8), 0.3 * random.f64()),
                _ => (INTERVALS, 0.0),
            };
            let end = (start + length).min(INTERVALS);
            let least = (start..end.min(start + 8)).map(|interval| key.mean(interval)).fold(f64::MAX, f64::min);
            let fits = match (kind, key.profile) {
                (Kind::Spike, Profile::Bursty) => false,
                (Kind::Spike, _) => least >= 5.0,
                (Kind::Drop, Profile::Bursty) => false,
                (Kind::Drop, _) => least >= 30.0,
                (_, Profile::Daily(_) | Profile::Office) => true,
                (_, Profile::Bursty) => false,
                _ => key.base >= 1.0,
            };
            // No more than two keys of a kind vanish, so that the others keep enough to do.
            let same = made.iter().filter(|other| other.kind == kind && other.key[..5] == key.name[..5]).count();
            if fits && is_free(&made, &key.name, start, end) && (kind != Kind::Vanished || same < 3) {
                made.push(Incident { kind, key: key.name.clone(), start, end, factor });
                left -= 1;
            }
        }
    }
    for number in 0..6 {
        let start = random.usize(CALM_DAYS * SLOTS..INTERVALS - SLOTS);
        let base = 3.0 * 10_f64.powf(random.f64());
        made.push(Incident { kind: Kind::New, key: format!("new-{number}"), start, end: INTERVALS, factor: base });
    }
    made
}

/// Generates a month.
pub(crate) fn generate(seed: u64) -> Month {
    let mut random = Rng::with_seed(seed);
    let mut keys = keys(&mut random);
    let incidents = incidents(&keys, &mut random);
    let news: Vec<&Incident> = incidents.iter().filter(|incident| incident.kind == Kind::New).collect();
    keys.extend(news.iter().map(|new| Key { name: new.key.clone(), profile: Profile::Flat, base: new.factor }));
    // Changes at 10:00 alter every fifth key that has no incident.
    let changes = vec![15 * SLOTS + 20, 22 * SLOTS + 20];
    let is_altered = |key: &Key, number: usize, change: usize| {
        number % 10 == 5 * (change % 2) && incidents.iter().all(|incident| incident.key != key.name)
    };
    let all_days: Vec<f64> = (0..DAYS).map(|_| (0.05 * normal(&mut random)).exp()).collect();
    let mut counts = Vec::new();
    for (number, key) in keys.iter().enumerate() {
        let days: Vec<f64> = (0..DAYS).map(|_| (0.1 * normal(&mut random)).exp()).collect();
        let late: Vec<bool> = (0..DAYS).map(|_| random.f64() < 0.3).collect();
        let mut of_key = Vec::with_capacity(INTERVALS);
        for interval in 0..INTERVALS {
            let (day, slot) = (interval / SLOTS, interval % SLOTS);
            let mut mean = key.mean(interval) * days[day] * all_days[day] * (0.15 * normal(&mut random)).exp();
            if key.profile == Profile::Bursty {
                // A gamma variable of shape 1: the variance is the square of the mean.
                mean *= -(1.0 - random.f64()).ln();
            }
            if let Profile::Daily(start) = key.profile
                && slot == start + usize::from(late[day])
            {
                mean = key.base;
            }
            for (change_number, change) in changes.iter().enumerate() {
                if interval >= *change && is_altered(key, number, change_number) {
                    mean *= if number % 4 == 0 { 3.0 } else { 0.3 };
                }
            }
            let mut is_off = false;
            for incident in incidents.iter().filter(|incident| incident.key == key.name) {
                let is_on = (incident.start..incident.end).contains(&interval);
                match incident.kind {
                    Kind::New => is_off |= !is_on,
                    Kind::Vanished => is_off |= is_on,
                    _ if is_on => mean *= incident.factor,
                    _ => {}
                }
            }
            let count = match key.profile {
                _ if is_off => 0,
                Profile::Clockwork => (mean / days[day] / all_days[day]).round() as u64,
                Profile::Daily(_) if mean > 0.0 => poisson(mean, &mut random).max(1),
                _ => poisson(mean, &mut random),
            };
            // A new key begins with its first interval.
            let begins = incidents.iter().any(|i| i.kind == Kind::New && i.key == key.name && i.start == interval);
            of_key.push(if begins { count.max(1) } else { count });
        }
        counts.push(of_key);
    }
    Month { keys, incidents, changes, counts }
}

/// A normal number, by Box and Muller.
fn normal(random: &mut Rng) -> f64 {
    let (one, other) = (1.0 - random.f64(), random.f64());
    (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()
}

/// A Poisson number: by multiplication for small means, as a rounded normal number for large ones.
fn poisson(mean: f64, random: &mut Rng) -> u64 {
    if mean > 200.0 {
        return (mean + mean.sqrt() * normal(random)).round().max(0.0) as u64;
    }
    let (limit, mut product, mut count) = ((-mean).exp(), random.f64(), 0);
    while product > limit {
        product *= random.f64();
        count += 1;
    }
    count
}
