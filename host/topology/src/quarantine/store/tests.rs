use super::*;

const MAX: u64 = 1 << 20;

fn line(id: &str) -> String {
    format!(
        "{{\"id\":\"{id}\",\"kept\":\"2026-01-02T03:04:05Z\",\"event\":{{\"body\":\"of {id}\",\
         \"failure\":{{\"node\":\"mask\",\"version\":\"mask@1\",\"code\":\"trap\",\"message\":\"it \\\"trapped\\\"\"}}}}}}\n"
    )
}

fn store(ids: &[&str]) -> (tempfile::TempDir, QuarantineStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = QuarantineStore::new(folder.path(), "trail");
    for id in ids {
        store.append(line(id).as_bytes(), MAX).unwrap();
    }
    (folder, store)
}

fn ids(store: &QuarantineStore) -> (Vec<String>, usize) {
    let mut ids = Vec::new();
    let unreadable = store.for_each(|event| {
        ids.push(event.id);
        true
    });
    (ids, unreadable.unwrap())
}

fn set(ids: &[&str]) -> HashSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn stored_events_can_be_read_with_their_reasons() {
    let (folder, store) = store(&["a-0", "a-1"]);
    let mut all = Vec::new();
    store
        .for_each(|event| {
            all.push(event);
            true
        })
        .unwrap();
    assert_eq!(all.len(), 2);
    let expected = Quarantined {
        id: "a-1".into(),
        kept: parse_rfc3339("2026-01-02T03:04:05Z"),
        node: "mask".into(),
        code: "trap".into(),
        message: "it \"trapped\"".into(),
        event: all[1].event.clone(),
    };
    assert_eq!(all[1], expected);
    assert!(all[1].event.starts_with(b"{\"body\":\"of a-1\""));
    let stores = QuarantineStore::all(folder.path()).unwrap();
    assert_eq!(stores.iter().map(QuarantineStore::pipeline).collect::<Vec<_>>(), ["trail"]);
    assert!(QuarantineStore::all(&folder.path().join("none")).unwrap().is_empty());
}

#[test]
fn events_are_removed_and_the_others_stay_unchanged() {
    let (_folder, store) = store(&["a", "b", "c"]);
    assert_eq!(store.remove(&set(&["b", "missing"])).unwrap(), 1);
    assert_eq!(fs::read_to_string(&store.path).unwrap(), line("a") + &line("c"));
    store.append(line("d").as_bytes(), MAX).unwrap();
    assert_eq!(ids(&store), (vec!["a".into(), "c".into(), "d".into()], 0));
}

#[test]
fn a_line_that_was_cut_off_is_set_aside_before_the_next() {
    let (_folder, store) = store(&["a"]);
    // Longer than one read of the search.
    let torn = format!("{{\"id\":\"torn\",\"event\":{{\"body\":\"{}", "x".repeat(3 * LOOK_BACK as usize));
    let mut file = OpenOptions::new().append(true).open(&store.path).unwrap();
    file.write_all(torn.as_bytes()).unwrap();
    assert_eq!(ids(&store), (vec!["a".into()], 1));
    store.append(line("b").as_bytes(), MAX).unwrap();
    assert_eq!(ids(&store), (vec!["a".into(), "b".into()], 0));
    let mut aside = fs::read_dir(&store.folder).unwrap().map(|e| e.unwrap().path());
    let aside = aside.find(|p| p.to_str().unwrap().contains(".torn-")).unwrap();
    assert_eq!(fs::read_to_string(aside).unwrap(), torn);
}

#[test]
fn a_file_with_only_a_torn_line_starts_empty() {
    let (_folder, store) = store(&[]);
    fs::create_dir_all(&store.folder).unwrap();
    fs::write(&store.path, "{\"id\":").unwrap();
    store.append(line("a").as_bytes(), MAX).unwrap();
    assert_eq!(fs::read_to_string(&store.path).unwrap(), line("a"));
}

#[test]
fn unknown_lines_are_counted_and_kept() {
    let (_folder, store) = store(&["a"]);
    let mut file = OpenOptions::new().append(true).open(&store.path).unwrap();
    file.write_all(b"garbage \xff\n{\"event\":{}}\n").unwrap();
    store.append(line("b").as_bytes(), MAX).unwrap();
    assert_eq!(ids(&store), (vec!["a".into(), "b".into()], 2));
    assert_eq!(store.remove(&set(&["a", "b"])).unwrap(), 2);
    assert_eq!(fs::read(&store.path).unwrap(), b"garbage \xff\n{\"event\":{}}\n");
}

#[test]
fn a_full_quarantine_accepts_nothing_until_a_removal() {
    let (_folder, store) = store(&["a"]);
    let max = line("a").len() as u64 + 1;
    assert!(matches!(store.append(line("b").as_bytes(), max), Err(QuarantineError::Full { .. })));
    assert_eq!(ids(&store).0, ["a"]);
    store.remove(&set(&["a"])).unwrap();
    store.append(line("b").as_bytes(), max).unwrap();
    assert_eq!(ids(&store).0, ["b"]);
}

#[test]
fn concurrent_appends_and_removals_lose_no_event() {
    let (_folder, store) = store(&[]);
    let all: Vec<String> = (0..200).map(|n| format!("n-{n}")).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| all.iter().for_each(|id| store.append(line(id).as_bytes(), MAX).unwrap()));
        scope.spawn(|| {
            let mut removed = 0;
            while removed < 100 {
                let even = ids(&store).0.into_iter().filter(|id| id.ends_with(['0', '2', '4', '6', '8']));
                removed += store.remove(&even.collect()).unwrap();
            }
        });
    });
    let odd: Vec<&String> = all.iter().filter(|id| id.ends_with(['1', '3', '5', '7', '9'])).collect();
    assert_eq!(ids(&store).0.iter().collect::<Vec<_>>(), odd);
}
