use super::*;
use Admission::{Call, Probe, Refused};

const SECOND: Duration = Duration::from_secs(1);

fn settings() -> CircuitSettings {
    CircuitSettings { fault_percent: 50, window: 10, min_batches: 4, cool_down: SECOND, max_cool_down: 4 * SECOND }
}

/// A circuit with its own clock.
struct Bench {
    circuit: Circuit,
    now: Instant,
}

impl Bench {
    fn new(policy: OnFault) -> Self {
        Self { circuit: Circuit::new(&settings(), policy), now: Instant::now() }
    }

    fn admit(&self) -> Admission {
        self.circuit.admit(|| self.now)
    }

    /// Records a batch, and returns the change.
    fn batch(&self, faulted: bool) -> Option<Change> {
        let admission = self.admit();
        assert_ne!(admission, Refused);
        self.circuit.record(admission, faulted, || self.now)
    }

    fn open(&self) {
        while self.batch(true).is_none() {}
    }
}

#[test]
fn it_opens_only_above_the_share_and_after_enough_batches() {
    let bench = Bench::new(OnFault::Fail);
    for faulted in [true, true, true] {
        assert_eq!(bench.batch(faulted), None, "too few batches");
    }
    assert_eq!(bench.batch(false), Some(Change::Opened { faulted: 3, of: 4 }));

    let bench = Bench::new(OnFault::Fail);
    for round in 0..50 {
        assert_eq!(bench.batch(round % 2 == 1), None, "half of the batches is not more than half");
    }
}

#[test]
fn only_the_last_batches_count() {
    let bench = Bench::new(OnFault::Fail);
    (0..100).for_each(|_| assert_eq!(bench.batch(false), None));
    (0..5).for_each(|_| assert_eq!(bench.batch(true), None));
    assert_eq!(bench.batch(true), Some(Change::Opened { faulted: 6, of: 10 }));
}

#[test]
fn an_open_circuit_refuses_until_its_cool_down_is_over_and_then_probes_one_batch() {
    let mut bench = Bench::new(OnFault::Fail);
    bench.open();
    assert_eq!(bench.admit(), Refused);
    bench.now += SECOND;
    assert_eq!((bench.admit(), bench.admit()), (Probe, Refused), "one batch, not all that wait");
    assert_eq!(bench.circuit.record(Probe, false, || bench.now), Some(Change::Closed));
    assert_eq!(bench.admit(), Call);
}

#[test]
fn each_probe_that_faults_doubles_the_cool_down_up_to_its_bound() {
    let mut bench = Bench::new(OnFault::Fail);
    bench.open();
    for seconds in [1, 2, 4, 4] {
        bench.now += seconds * SECOND - Duration::from_millis(1);
        assert_eq!(bench.admit(), Refused);
        bench.now += Duration::from_millis(1);
        assert_eq!(bench.batch(true), None);
    }
}

#[test]
fn a_node_that_faults_again_at_once_waits_longer_and_one_that_worked_does_not() {
    let mut bench = Bench::new(OnFault::Fail);
    bench.open();
    bench.now += SECOND;
    assert_eq!(bench.batch(false), Some(Change::Closed));
    bench.open();
    bench.now += SECOND;
    assert_eq!(bench.admit(), Refused);
    bench.now += SECOND;
    assert_eq!(bench.batch(false), Some(Change::Closed));
    (0..10).for_each(|_| assert_eq!(bench.batch(false), None));
    bench.open();
    bench.now += SECOND;
    assert_eq!(bench.admit(), Probe);
}

#[test]
fn a_late_result_of_an_earlier_batch_changes_nothing() {
    let bench = Bench::new(OnFault::Fail);
    let early = bench.admit();
    bench.open();
    assert_eq!(bench.circuit.record(early, false, || bench.now), None);
    assert_eq!(bench.admit(), Refused);
}

#[test]
fn a_probe_that_never_ends_does_not_block_later_probes() {
    let mut bench = Bench::new(OnFault::Fail);
    bench.open();
    bench.now += SECOND;
    assert_eq!(bench.admit(), Probe);
    bench.now += SECOND;
    assert_eq!(bench.admit(), Probe);
}

#[test]
fn a_circuit_that_stops_its_pipeline_does_not_probe() {
    let mut bench = Bench::new(OnFault::Stop);
    bench.open();
    bench.now += 1000 * SECOND;
    assert_eq!(bench.admit(), Refused);
}

#[test]
fn a_share_of_hundred_never_opens() {
    let circuit = Circuit::new(&CircuitSettings { fault_percent: 100, ..settings() }, OnFault::Fail);
    for _ in 0..100 {
        assert_eq!(circuit.record(circuit.admit(Instant::now), true, Instant::now), None);
    }
}
