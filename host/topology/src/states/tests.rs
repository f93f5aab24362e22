use super::*;

fn snapshot(version: u32, text: &'static str) -> Snapshot {
    Snapshot { version, bytes: text.as_bytes().into() }
}

fn put(dir: &Path, name: &str, sharing: &str, snapshots: &[Snapshot]) {
    file::write(&dir.join("state").join(name), sharing, &[], snapshots).unwrap();
}

fn slots_of(states: &States, node: &str) -> Slots {
    let lost = || panic!("nothing is lost");
    states.slots("main", node, &StateSettings::default(), lost).unwrap().slots
}

#[test]
fn state_shared_by_a_key_is_not_divided() {
    let dir = tempfile::tempdir().unwrap();
    let by = |fields: &[&str], shards| StateSettings {
        sharing: Sharing::Key(fields.iter().map(|field| (*field).to_owned()).collect()),
        shards,
        ..StateSettings::default()
    };
    let states = States::new(Some(dir.path()), 2);
    let first = states.slots("main", "n", &by(&["body.user"], 2), || {}).unwrap().slots;
    assert_eq!(first.len(), 2);
    put(dir.path(), "main/n/1", &describe(&by(&["body.user"], 2)), &[snapshot(1, "one")]);
    let states = States::new(Some(dir.path()), 4);
    for settings in [by(&["body.user"], 3), by(&["body.host"], 2), StateSettings::default()] {
        assert!(states.slots("main", "n", &settings, || {}).is_err(), "{settings:?}");
    }
    let again = states.slots("main", "n", &by(&["body.user"], 2), || {}).unwrap().slots;
    assert_eq!(held(&again), [vec![], vec![snapshot(1, "one")]]);
    let fresh = states.fresh("main", "n", &by(&["body.host"], 2)).slots;
    assert_eq!(held(&fresh), [vec![], vec![]]);
}

#[test]
fn workers_that_share_one_instance_take_over_what_each_had() {
    let states = States::new(None, 2);
    let before = slots_of(&states, "n");
    let single = StateSettings { sharing: Sharing::Single, ..StateSettings::default() };
    let owned = states.slots("main", "n", &single, || {}).unwrap();
    assert_eq!((owned.slots.len(), owned.shared_before.len()), (1, before.len()));
}

fn held(slots: &Slots) -> Vec<Vec<Snapshot>> {
    slots.iter().map(|slot| slot.get().to_vec()).collect()
}

#[test]
fn fewer_workers_share_the_saved_states() {
    let dir = tempfile::tempdir().unwrap();
    let all = [snapshot(1, "one"), snapshot(1, ""), snapshot(2, "three")];
    for (index, snapshot) in all.iter().enumerate() {
        put(dir.path(), &format!("main/count/{index}"), "worker", std::slice::from_ref(snapshot));
    }
    let states = States::new(Some(dir.path()), 2);
    let slots = slots_of(&states, "count");
    let [one, two, three] = all;
    assert_eq!(held(&slots), [vec![one.clone(), three.clone()], vec![two.clone()], vec![]]);
    // Writes the same snapshots back, in whichever slots they are.
    states.write();
    let alone = slots_of(&States::new(Some(dir.path()), 1), "count");
    assert_eq!(held(&alone), [vec![one, three, two], vec![]]);
    assert_eq!(file::names(&dir.path().join("state/main/count")).len(), 3, "files of before are replaced");
    let other = slots_of(&states, "other");
    assert_eq!(held(&other), [vec![], vec![], vec![]]);
}

/// Writes the snapshots of a slot, as `snapshots.rs` does.
fn write_slot(states: &States, node: &str, index: usize) {
    let slots = states.durable();
    let slot = slots.iter().find(|slot| slot.node == node && slot.index == index).unwrap();
    states.write_slot(slot, &slot.slot.stage().unwrap()).unwrap();
}

#[test]
fn state_that_moves_is_on_disk_once_at_any_time() {
    let dir = tempfile::tempdir().unwrap();
    let settings = |sharing| StateSettings { sharing, durability: Durability::Disk, ..StateSettings::default() };
    let on_disk = || {
        let states = States::new(Some(dir.path()), 2);
        let slots = states.slots("main", "n", &settings(Sharing::Worker), || {}).unwrap().slots;
        let mut versions: Vec<u32> = held(&slots).concat().iter().map(|snapshot| snapshot.version).collect();
        versions.sort_unstable();
        versions
    };
    let states = States::new(Some(dir.path()), 2);
    let workers = states.slots("main", "n", &settings(Sharing::Worker), || {}).unwrap().slots;
    for (slot, version) in workers.iter().zip(1..) {
        slot.take_from(&StateSlot::new(vec![snapshot(version, "")]));
    }
    (0..3).for_each(|index| write_slot(&states, "n", index));
    assert_eq!(on_disk(), [1, 2, 3]);
    // To one instance for all workers, and back.
    let single = states.slots("main", "n", &settings(Sharing::Single), || {}).unwrap();
    let single_slot = single.slots.first().unwrap();
    single.shared_before.iter().for_each(|slot| single_slot.take_from(slot));
    states.retain(1, |_, _| true);
    assert_eq!(on_disk(), [1, 2, 3]);
    let again = states.slots("main", "n", &settings(Sharing::Worker), || {}).unwrap();
    again.slots.first().unwrap().take_from(again.shared_before.first().unwrap());
    states.retain(1, |_, _| true);
    again.slots.get(1).unwrap().take_from(&StateSlot::new(vec![snapshot(4, "")]));
    write_slot(&states, "n", 1);
    assert_eq!(on_disk(), [1, 2, 3, 4]);
    write_slot(&states, "n", 0);
    assert_eq!(on_disk(), [1, 2, 3, 4]);
    assert_eq!(file::names(&dir.path().join("state/main/n")).len(), 2);
    // A crash after the write kept the files from being removed.
    put(dir.path(), "main/n/5", "worker", &[snapshot(5, "")]);
    file::write(&dir.path().join("state/main/n/6"), "worker", &[Path::new("main/n/5")], &[]).unwrap();
    assert_eq!(on_disk(), [1, 2, 3, 4]);
}

#[test]
fn a_plan_that_cannot_be_built_leaves_the_slots_of_the_running_one() {
    let states = States::new(None, 2);
    let before = slots_of(&states, "n");
    let single = StateSettings { sharing: Sharing::Single, ..StateSettings::default() };
    states.slots("main", "n", &single, || {}).unwrap();
    states.revert();
    assert!(Arc::ptr_eq(before.first().unwrap(), slots_of(&states, "n").first().unwrap()));
}

#[test]
fn the_state_of_a_canary_before_the_start_goes_to_its_heir() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "main@canary/n/0", "worker", &[snapshot(1, "")]);
    let settings = StateSettings { durability: Durability::Disk, ..StateSettings::default() };
    let states = States::new(Some(dir.path()), 1);
    let own = states.slots("main", "n", &settings, || {}).unwrap().slots;
    let left = states.ended("main@canary", "n", &settings).unwrap();
    own.iter().zip(&left).for_each(|(own, left)| own.take_from(left));
    states.retain(1, |pipeline, _| pipeline == "main");
    let canary = dir.path().join("state/main@canary/n/0");
    assert!(canary.is_file(), "the heir has not written it");
    write_slot(&states, "n", 0);
    assert!(!canary.is_file());
    let next = States::new(Some(dir.path()), 1);
    let own = next.slots("main", "n", &settings, || {}).unwrap().slots;
    assert_eq!(held(&own).concat(), [snapshot(1, "")]);
    assert!(next.ended("main@canary", "n", &settings).is_none());
}

#[test]
fn the_state_of_a_removed_node_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    for node in ["stays", "goes"] {
        put(dir.path(), &format!("main/{node}/0"), "worker", &[snapshot(1, node)]);
    }
    let states = States::new(Some(dir.path()), 1);
    let all = |node| held(&slots_of(&states, node)).concat();
    let slots = slots_of(&states, "goes");
    assert_eq!(held(&slots).concat(), [snapshot(1, "goes")]);
    assert_eq!(all("stays"), [snapshot(1, "stays")]);
    states.retain(1, |_, node| node == "stays");
    let file = dir.path().join("state/main/goes/0");
    assert!(states.discard(|_| false), "it may hold events");
    slots.iter().for_each(|slot| slot.set_owes(false));
    assert!(states.discard(|generation| generation == 1), "a worker still uses it");
    assert!(file.is_file());
    assert!(!states.discard(|_| false));
    assert!(!file.exists());
    assert_eq!(all("goes"), []);
    assert_eq!(all("stays"), [snapshot(1, "stays")]);
    let next = States::new(Some(dir.path()), 1);
    assert_eq!(held(&slots_of(&next, "goes")).concat(), []);
    assert_eq!(held(&slots_of(&next, "stays")).concat(), [snapshot(1, "stays")]);
}

#[test]
fn a_change_of_any_byte_of_the_file_is_detected() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state/main/count");
    put(dir.path(), "main/count/0", "worker", &[snapshot(7, "state")]);
    let whole = fs::read(folder.join("0")).unwrap();
    let damaged = (0..whole.len()).map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    });
    let cut = (0..whole.len()).map(|at| whole[..at].to_vec());
    for bytes in damaged.chain(cut) {
        fs::write(folder.join("0"), &bytes).unwrap();
        let mut lost = false;
        let states = States::new(Some(dir.path()), 1);
        let slots = states.slots("main", "count", &StateSettings::default(), || lost = true).unwrap().slots;
        assert!(lost && held(&slots).concat().is_empty(), "{bytes:?}");
        assert!(!folder.join("0").exists(), "it is set aside");
    }
}
