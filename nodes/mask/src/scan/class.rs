//! Classes of bytes, and windows of three of them.

use std::mem::take;

/// A set of bytes that a place of a window allows.
#[derive(Clone, Debug)]
pub(crate) struct Class {
    allowed: [bool; 256],
    /// Whether the text can also end before this place.
    any: bool,
}

impl Class {
    /// Any byte, or the end of the text.
    pub(crate) const ANY: Self = Self { allowed: [true; 256], any: true };

    /// Only these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut class = Self { allowed: [false; 256], any: false };
        for byte in bytes {
            class.allowed.get_mut(usize::from(*byte)).into_iter().for_each(|allowed| *allowed = true);
        }
        class
    }

    /// An ASCII letter in both cases, or another byte.
    pub(crate) fn letter(byte: u8) -> Self {
        Self::of(&[byte.to_ascii_lowercase(), byte.to_ascii_uppercase()])
    }

    /// The bytes of two classes.
    pub(crate) fn or(mut self, other: &Self) -> Self {
        for (allowed, also) in self.allowed.iter_mut().zip(other.allowed) {
            *allowed |= also;
        }
        self.any |= other.any;
        self
    }

    pub(super) fn is_any(&self) -> bool {
        self.any
    }

    /// Whether the class contains a byte, or the end of the text.
    pub(super) fn allows(&self, byte: Option<&u8>) -> bool {
        byte.map_or(self.any, |byte| self.allowed.get(usize::from(*byte)).copied().unwrap_or_default())
    }

    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + Clone {
        (0..=u8::MAX).zip(&self.allowed).filter(|(_, allowed)| **allowed).map(|(byte, _)| byte)
    }
}

/// Three adjacent bytes that surround or are part of what a rule looks for.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(super) classes: [Class; 3],
    /// From the first byte to the place to report.
    pub(super) offset: isize,
}

impl Window {
    /// A window whose places are reported with this offset from its first byte.
    pub(crate) fn new(classes: [Class; 3], offset: isize) -> Self {
        Self { classes, offset }
    }

    /// The rarest three bytes of a literal, which is not shorter; reports where the literal begins.
    pub(crate) fn of_literal(literal: &[u8]) -> Option<Self> {
        let windows = literal.array_windows::<3>().enumerate();
        let (at, bytes) = windows.min_by_key(|(_, bytes)| bytes.iter().map(|b| weight(*b)).product::<u64>())?;
        Some(Self::new(bytes.map(|byte| Class::of(&[byte])), -(isize::try_from(at).ok()?)))
    }

    /// The first two bytes, if only one pair is possible.
    pub(super) fn pair(&self) -> Option<[u8; 2]> {
        let only = |class: &Class| {
            let mut bytes = class.bytes();
            bytes.next().filter(|_| bytes.next().is_none())
        };
        let [first, second, _] = &self.classes;
        Some([only(first)?, only(second)?])
    }
}

/// How common each byte is in logs, roughly.
const WEIGHTS: [u8; 256] = {
    let mut weights = [0; 256];
    let mut rest: &mut [u8] = &mut weights;
    let mut byte = 0;
    while let Some((weight, others)) = rest.split_first_mut() {
        *weight = weight_of(byte);
        byte = byte.wrapping_add(1);
        rest = others;
    }
    weights
};

fn weight(byte: u8) -> u64 {
    WEIGHTS.get(usize::from(byte)).copied().map_or(0, u64::from)
}

const fn weight_of(byte: u8) -> u8 {
    match byte {
        b'e' | b't' | b'a' | b'o' | b'i' | b'n' | b's' | b'r' | b'"' => 16,
        b'c' | b'd' | b'l' | b'm' | b'p' | b'u' | b'0'..=b'9' | b':' | b',' | b'-' => 8,
        b'a'..=b'z' | b'.' | b'/' | b'_' | b' ' => 4,
        b'A'..=b'Z' | b'{' | b'}' => 3,
        _ => 1,
    }
}

/// For each byte of a window, the low and the high halves of the bytes that it allows.
type Halves = [[u16; 2]; 3];

/// Distributes windows to a number of buckets, so that the halves of a bucket's bytes allow few
/// other bytes. Returns the bucket of each window.
pub(super) fn buckets(windows: &[Window], most: usize) -> Vec<usize> {
    let mut buckets: Vec<(Halves, Vec<usize>)> = Vec::new();
    for (index, window) in windows.iter().enumerate() {
        let halves = window.classes.each_ref().map(|class| {
            class.bytes().fold([0, 0], |[low, high], byte| [low | 1 << (byte & 15), high | 1 << (byte >> 4)])
        });
        buckets.push((halves, vec![index]));
    }
    // Merges the two buckets that together allow the fewest more places, until few enough remain.
    // What a merge costs is computed once for each pair, because nodes are configured at each start.
    let more = |one: &Halves, other: &Halves| cost(&union(one, other)).saturating_sub(cost(one) + cost(other));
    let mut merges: Vec<(u64, usize, usize)> = Vec::new();
    let with = |buckets: &[(Halves, Vec<usize>)], merges: &mut Vec<(u64, usize, usize)>, second: usize| {
        let Some((halves, _)) = buckets.get(second) else { return };
        for (first, (other, members)) in buckets.iter().enumerate() {
            if first != second && !members.is_empty() {
                merges.push((more(halves, other), first.min(second), first.max(second)));
            }
        }
    };
    (1..buckets.len()).for_each(|second| with(buckets.get(..=second).unwrap_or_default(), &mut merges, second));
    for _ in most..windows.len() {
        let Some((_, first, second)) = merges.iter().min().copied() else { break };
        merges.retain(|(_, one, other)| ![first, second].iter().any(|merged| one == merged || other == merged));
        let Some((halves, members)) = buckets.get_mut(second).map(|(halves, members)| (*halves, take(members))) else {
            break;
        };
        if let Some(bucket) = buckets.get_mut(first) {
            bucket.0 = union(&bucket.0, &halves);
            bucket.1.extend(members);
        }
        with(&buckets, &mut merges, first);
    }
    buckets.retain(|(_, members)| !members.is_empty());
    let mut chosen = vec![0; windows.len()];
    for (bucket, (_, members)) in buckets.iter().enumerate() {
        members.iter().for_each(|index| chosen.get_mut(*index).into_iter().for_each(|chosen| *chosen = bucket));
    }
    chosen
}

fn union(one: &Halves, other: &Halves) -> Halves {
    let mut both = *one;
    both.as_flattened_mut().iter_mut().zip(other.as_flattened()).for_each(|(half, also)| *half |= also);
    both
}

/// How many places of a text these halves allow, relative to others.
fn cost(halves: &Halves) -> u64 {
    let bits = |half: u16| (0..16_u8).filter(move |bit| half & 1 << bit != 0);
    let allowed = halves
        .map(|[low, high]| bits(high).flat_map(|high| bits(low).map(move |low| weight(high << 4 | low))).sum::<u64>());
    allowed.iter().product()
}
