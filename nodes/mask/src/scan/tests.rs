//! The scan against a loop over all places.

use super::*;
use proptest::prelude::*;

/// The places of each window, found by comparing every place.
fn slow(text: &[u8], windows: &[Window]) -> Vec<Vec<usize>> {
    let allows = |class: &Class, at: usize| match text.get(at) {
        Some(byte) => class.bytes().any(|b| b == *byte),
        None => class.is_any(),
    };
    let is_match = |window: &Window, at: usize| (at..).zip(&window.classes).all(|(at, class)| allows(class, at));
    let of = |window: &Window| {
        (0..text.len())
            .filter(|&at| is_match(window, at))
            .filter_map(|at| at.checked_add_signed(window.offset))
            .collect()
    };
    windows.iter().map(of).collect()
}

fn classes() -> impl Strategy<Value = Class> {
    prop_oneof![
        4 => any::<u8>().prop_map(|b| Class::of(&[b % 4 + b'a'])),
        2 => any::<u8>().prop_map(|b| Class::letter(b % 4 + b'a')),
        2 => proptest::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| Class::of(&bytes)),
    ]
}

fn windows() -> impl Strategy<Value = Window> {
    let last = prop_oneof![classes(), Just(Class::ANY)];
    (classes(), prop_oneof![4 => classes(), 1 => Just(Class::ANY)], last, -3_isize..3)
        .prop_map(|(a, b, c, offset)| Window::new([a, b, c], offset))
}

proptest! {
    #[test]
    fn agrees_with_a_byte_loop(
        letters in proptest::collection::vec(prop_oneof![9 => 0_u8..8, 1 => any::<u8>()], 0..300),
        windows in proptest::collection::vec(windows(), 1..100),
    ) {
        // Small numbers become letters in both cases.
        let text: Vec<u8> = letters.iter().map(|b| *b"abcdABCD".get(usize::from(*b)).unwrap_or(b)).collect();
        let mut scan = Scan::new(&windows);
        for (found, places) in scan.find(&text).zip(slow(&text, &windows)) {
            prop_assert_eq!(found.is_full, places.len() > MIN_LISTED);
            if !found.is_full {
                prop_assert_eq!(found.listed, places);
            }
        }
        // Nothing of the previous text remains.
        prop_assert!(scan.find(&[]).all(|found| found.listed.is_empty() && !found.is_full));
    }
}

#[test]
fn finds_a_literal_at_every_place() {
    let literals: [&[u8]; 4] = [b"AKIA", b"ecretAccessKey", b"xox", b"PRIVATE KEY-----"];
    let windows: Vec<Window> = literals.iter().map(|literal| Window::of_literal(literal).unwrap()).collect();
    let mut scan = Scan::new(&windows);
    for (index, literal) in literals.iter().enumerate() {
        for at in 0..150 {
            for after in 0..70 {
                let text = [&vec![b'q'; at], *literal, &vec![b'q'; after]].concat();
                let found: Vec<&[usize]> = scan.find(&text).map(|places| places.listed).collect();
                assert_eq!(found[index], [at], "{at} {after}");
                assert_eq!(found.iter().copied().flatten().count(), 1, "{at} {after}");
            }
        }
    }
}
