//! Finds the first match of a pattern.
//!
//! Not the crate `regex`, which has no look-around, and takes ten times as long: grok patterns have many groups and large
//! repetitions, for which it must follow all ways at once. A line that matches leaves few ways, so this matcher tries one
//! after the other. Where a text leaves many, it remembers which instructions failed at which bytes. So it runs each
//! instruction at most once at each byte, and at worst its time grows with the square of the length of the text, up to
//! [`MAX_STEPS`].

use memchr::{memchr, memrchr};
use regex_syntax::hir::Look;

use crate::look::char_at;
use crate::program::{Instruction, Many, Program, Set};

/// Steps for each byte of the text before the matcher begins to remember failures, and steps for a text of any length.
const STEPS_PER_BYTE: usize = 16;
const STEPS: usize = 4096;

/// Bytes that a repetition passes in the time of a step.
const BYTES_PER_STEP: usize = 32;

/// Bits that remember failures: 16 MiB.
const MAX_FAILURES: usize = 128 << 20;

/// Steps for a text once the matcher remembers failures. They take about half a second in the sandbox, less than the time
/// limit of a call: a text that needs more fails by itself instead of ending the call.
const MAX_STEPS: usize = 1 << 26;

/// No place in the text.
const NONE: usize = usize::MAX;

/// Memory for finding matches. One serves any number of programs, one after the other.
#[derive(Debug, Default)]
pub struct Memory {
    failures: Failures,
    ways: Vec<Way>,
    slots: Vec<usize>,
    #[cfg(test)]
    remembers_always: bool,
}

/// What is still to be tried.
#[derive(Debug)]
enum Way {
    Continue {
        place: usize,
        at: usize,
    },
    /// A repetition whose last round ends at `end`, which can be as early as `min`.
    Shorter {
        place: usize,
        min: usize,
        end: usize,
    },
    /// A repetition whose last round ends at `end`, and which can have so many more.
    Longer {
        place: usize,
        end: usize,
        more: usize,
    },
    /// The alternatives from number `next` on.
    Choice {
        place: usize,
        next: usize,
        at: usize,
    },
    /// An unbounded repetition that began at `at`, once all its ends failed.
    Failed {
        place: usize,
        at: usize,
    },
    Restore {
        slot: usize,
        value: usize,
    },
}

/// The text is too long for the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Instructions that failed at a byte of the text.
#[derive(Debug, Default)]
struct Failures {
    bits: Vec<u64>,
    /// Bits for each instruction.
    stride: usize,
    /// Steps before remembering begins.
    steps_left: usize,
    /// Steps after that, before the matcher gives up.
    steps_to_end: usize,
}

impl Failures {
    fn begin(&mut self, text: &[u8], is_needed: bool) {
        self.bits.clear();
        self.stride = text.len() + 1;
        self.steps_left = if is_needed { 0 } else { STEPS + text.len() * STEPS_PER_BYTE };
        self.steps_to_end = MAX_STEPS;
    }

    /// Whether an instruction is not known to fail at a byte. It counts as failed from now on, as it is tried only once.
    #[inline]
    fn may_match(&mut self, place: usize, at: usize, instructions: usize) -> Result<bool, TooLong> {
        if let Some(left) = self.steps_left.checked_sub(1) {
            self.steps_left = left;
            return Ok(true);
        }
        self.remember(place, at, instructions)
    }

    /// Counts bytes that a repetition passed.
    #[inline]
    const fn count(&mut self, bytes: usize) {
        let left = if self.is_remembering() { &mut self.steps_to_end } else { &mut self.steps_left };
        *left = left.saturating_sub(bytes / BYTES_PER_STEP);
    }

    const fn is_remembering(&self) -> bool {
        self.steps_left == 0
    }

    /// Remembers that an instruction fails at all bytes from `at` to `end`.
    fn add(&mut self, place: usize, at: usize, end: usize) {
        for bit in place * self.stride + at..=place * self.stride + end {
            if let Some(word) = self.bits.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    #[inline(never)]
    fn remember(&mut self, place: usize, at: usize, instructions: usize) -> Result<bool, TooLong> {
        if self.bits.is_empty() {
            let bits = self.stride.checked_mul(instructions).filter(|bits| *bits <= MAX_FAILURES).ok_or(TooLong)?;
            self.bits.resize(bits.div_ceil(64), 0);
        }
        self.steps_to_end = self.steps_to_end.checked_sub(1).ok_or(TooLong)?;
        let bit = place * self.stride + at;
        let Some(word) = self.bits.get_mut(bit / 64) else { return Ok(false) };
        let is_new = *word & (1 << (bit % 64)) == 0;
        *word |= 1 << (bit % 64);
        Ok(is_new)
    }
}

impl Memory {
    /// The place of a group in the last match. The first group is number 1.
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        let slot = |slot: usize| self.slots.get(slot).copied().filter(|at| *at != NONE);
        Some((slot(2 * group)?, slot(2 * group + 1)?))
    }

    /// Finds the first match of a program in a text, which must be UTF-8.
    ///
    /// # Errors
    /// The text leaves many ways to match, and is too long to try them or to remember which of them failed.
    pub fn find(&mut self, program: &Program, text: &[u8]) -> Result<bool, TooLong> {
        #[cfg(not(test))]
        let remembers = program.has_empty_rounds;
        #[cfg(test)]
        let remembers = program.has_empty_rounds || self.remembers_always;
        self.failures.begin(text, remembers);
        self.slots.clear();
        self.slots.resize(2 * (program.groups + 1), NONE);
        let mut start = 0;
        loop {
            if let Some(first) = &program.first {
                let rest = text.get(start..).unwrap_or_default();
                let can_begin = |byte: &u8| first.get(usize::from(*byte)).is_some_and(|is| *is);
                match rest.iter().position(can_begin) {
                    Some(0) => {}
                    Some(_) | None if program.is_anchored => return Ok(false),
                    Some(skip) => start += skip,
                    None => return Ok(false),
                }
            }
            // What failed from one begin fails from the later ones too.
            if self.matches_from(program, text, start)? {
                return Ok(true);
            }
            match char_at(text, start) {
                Some((_, length)) if !program.is_anchored => start += length,
                _ => return Ok(false),
            }
        }
    }

    fn matches_from(&mut self, program: &Program, text: &[u8], start: usize) -> Result<bool, TooLong> {
        let Self { failures, ways, slots, .. } = self;
        let instructions = &program.instructions;
        ways.clear();
        ways.push(Way::Continue { place: 0, at: start });
        while let Some(way) = ways.pop() {
            let (mut place, mut at) = match way {
                Way::Continue { place, at } => (place, at),
                Way::Restore { slot, value } => {
                    put(slots, slot, value);
                    continue;
                }
                Way::Choice { place, next, at } => {
                    let Some(Instruction::Choice(choice)) = instructions.get(place) else { continue };
                    let places = choice.places(text.get(at));
                    let Some(to) = places.get(next) else { continue };
                    if next + 1 < places.len() {
                        ways.push(Way::Choice { place, next: next + 1, at });
                    }
                    (*to, at)
                }
                Way::Failed { place, at } => {
                    // A round that begins later has no other ends.
                    if let Some(Instruction::Many(many)) = instructions.get(place)
                        && let Some((end, _)) = run(&many.set, text, at, usize::MAX)
                    {
                        failures.add(place, at, end);
                    }
                    continue;
                }
                Way::Shorter { place, min, end } => {
                    let Some(Instruction::Many(many)) = instructions.get(place) else { continue };
                    let shorter = shorter(many, text, min, end);
                    failures.count(end - shorter.unwrap_or(min));
                    let Some(end) = shorter else { continue };
                    if end > min {
                        ways.push(Way::Shorter { place, min, end });
                    }
                    (place + 1, end)
                }
                Way::Longer { place, end, more } => {
                    let Some(Instruction::Many(many)) = instructions.get(place) else { continue };
                    let longer = longer(many, text, end, more);
                    failures.count(longer.map_or(text.len(), |(longer, _)| longer) - end);
                    let Some((end, more)) = longer else { continue };
                    ways.push(Way::Longer { place, end, more });
                    (place + 1, end)
                }
            };
            loop {
                if !failures.may_match(place, at, instructions.len())? {
                    break;
                }
                let Some(instruction) = instructions.get(place) else { break };
                match instruction {
                    Instruction::Literal(literal) => match text.get(at..) {
                        Some(rest) if rest.starts_with(literal) => at += literal.len(),
                        _ => break,
                    },
                    Instruction::One(set) => match next(set, text, at) {
                        Some(length) => at += length,
                        None => break,
                    },
                    Instruction::Many(many) => {
                        let Some(min) = run(&many.set, text, at, many.min).filter(|(_, count)| *count == many.min)
                        else {
                            break;
                        };
                        if many.max == usize::MAX && failures.is_remembering() {
                            ways.push(Way::Failed { place, at });
                        }
                        let more = if many.max == usize::MAX { many.max } else { many.max.saturating_sub(many.min) };
                        if many.greedy {
                            let (end, _) = run(&many.set, text, min.0, more).unwrap_or(min);
                            failures.count(end - min.0);
                            if end > min.0 {
                                ways.push(Way::Shorter { place, min: min.0, end });
                            }
                            at = end;
                        } else {
                            ways.push(Way::Longer { place, end: min.0, more });
                            at = min.0;
                        }
                    }
                    Instruction::Split(first, second) => {
                        ways.push(Way::Continue { place: *second, at });
                        place = *first;
                        continue;
                    }
                    Instruction::Choice(choice) => {
                        let places = choice.places(text.get(at));
                        let Some(first) = places.first() else { break };
                        if places.len() > 1 {
                            ways.push(Way::Choice { place, next: 1, at });
                        }
                        place = *first;
                        continue;
                    }
                    Instruction::Jump(to) => {
                        place = *to;
                        continue;
                    }
                    Instruction::Save(slot) => {
                        let value = slots.get(*slot).copied().unwrap_or(NONE);
                        ways.push(Way::Restore { slot: *slot, value });
                        put(slots, *slot, at);
                    }
                    Instruction::Look(look) if holds(*look, text, at) => {}
                    Instruction::LookAround(look) if look.holds(text, at) => {}
                    Instruction::Look(_) | Instruction::LookAround(_) => break,
                    Instruction::Match => return Ok(true),
                }
                place += 1;
            }
        }
        Ok(false)
    }
}

fn put(slots: &mut [usize], slot: usize, value: usize) {
    if let Some(old) = slots.get_mut(slot) {
        *old = value;
    }
}

/// The length of the next character, if a set has it.
#[inline]
fn next(set: &Set, text: &[u8], at: usize) -> Option<usize> {
    let byte = *text.get(at)?;
    if byte.is_ascii() {
        return set.has_ascii(byte).then_some(1);
    }
    char_at(text, at).filter(|(c, _)| set.has_other(*c)).map(|(_, length)| length)
}

/// Where a run of at most `max` characters of a set ends, and how many it has.
#[inline]
fn run(set: &Set, text: &[u8], at: usize, max: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    if set.is_dot && max == usize::MAX {
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        return Some((at + length, length));
    }
    let count = rest.iter().take(max).take_while(|byte| byte.is_ascii() && set.has_ascii(**byte)).count();
    let (mut end, mut count) = (at + count, count);
    if text.get(end).is_none_or(u8::is_ascii) {
        return Some((end, count));
    }
    while count < max
        && let Some(length) = next(set, text, end)
    {
        end += length;
        count += 1;
    }
    Some((end, count))
}

/// The next shorter end of a repetition after which its next instruction may match.
fn shorter(many: &Many, text: &[u8], min: usize, end: usize) -> Option<usize> {
    let before = text.get(min..end)?;
    if let Some(then) = many.then {
        return memrchr(then, before).map(|place| min + place);
    }
    let length = before.iter().rev().position(|byte| byte & 0b1100_0000 != 0b1000_0000)? + 1;
    Some(end - length)
}

/// The next longer end of a repetition after which its next instruction may match, and how many characters more it can
/// have.
fn longer(many: &Many, text: &[u8], mut end: usize, mut more: usize) -> Option<(usize, usize)> {
    let wanted = match many.then {
        Some(then) => end + 1 + memchr(then, text.get(end + 1..)?)?,
        None => end,
    };
    loop {
        more = more.checked_sub(1)?;
        end += next(&many.set, text, end)?;
        if end >= wanted {
            return Some((end, more));
        }
    }
}

/// Whether an anchor or a word boundary is at a byte of the text. Patterns have those of ASCII only.
fn holds(look: Look, text: &[u8], at: usize) -> bool {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let (before, after) = (at.checked_sub(1).and_then(|before| text.get(before)), text.get(at));
    match look {
        Look::Start => before.is_none(),
        Look::End => after.is_none(),
        Look::WordAscii => is_word(before) != is_word(after),
        Look::WordAsciiNegate => is_word(before) == is_word(after),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
