//! A pattern as instructions.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::look::LookAround;
use crate::translate::{Group, Translated};

/// Instructions of one pattern.
const MAX_INSTRUCTIONS: usize = 1 << 16;

/// Alternatives from which on the next byte chooses among them.
const MIN_CHOICE: usize = 4;

#[derive(Debug)]
pub(super) enum Instruction {
    Literal(Box<[u8]>),
    One(Set),
    /// A repetition of one character.
    Many(Box<Many>),
    /// Tries the first place, then the second one.
    Split(usize, usize),
    /// Tries those places in order that can go on with the next byte.
    Choice(Box<Choice>),
    Jump(usize),
    Save(usize),
    Look(Look),
    LookAround(Box<LookAround>),
    Match,
}

#[derive(Debug)]
pub(super) struct Many {
    pub(super) set: Set,
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) greedy: bool,
    /// The byte that must follow, if there is only one.
    pub(super) then: Option<u8>,
}

/// Alternatives, by the next byte of the text.
#[derive(Debug)]
pub(super) struct Choice {
    /// The number of a list in `lists` for each byte, and for the end of the text.
    by_byte: Box<[u16; 257]>,
    lists: Vec<Box<[usize]>>,
}

impl Choice {
    /// `parts` are alternatives, each with the place of its first instruction.
    fn new(parts: &[(&Hir, usize)]) -> Self {
        let firsts = parts.iter().map(|(hir, place)| {
            let mut first = Box::new([false; 256]);
            let can_be_empty = collect_first(hir, &mut first);
            (first, can_be_empty, *place)
        });
        let firsts: Vec<_> = firsts.collect();
        let mut choice = Self { by_byte: Box::new([0; 257]), lists: Vec::new() };
        for (byte, number) in choice.by_byte.iter_mut().enumerate() {
            let goes_on = |first: &[bool; 256]| first.get(byte).is_some_and(|is| *is);
            let list = firsts.iter().filter(|(first, can_be_empty, _)| *can_be_empty || goes_on(first));
            let list: Box<[usize]> = list.map(|(_, _, place)| *place).collect();
            let known = choice.lists.iter().position(|known| *known == list);
            // At most 257 lists.
            *number = known.unwrap_or(choice.lists.len()) as u16;
            if known.is_none() {
                choice.lists.push(list);
            }
        }
        choice
    }

    /// The places to try at a byte of the text, or at its end.
    #[inline]
    pub(super) fn places(&self, byte: Option<&u8>) -> &[usize] {
        let number = self.by_byte.get(byte.map_or(256, |byte| usize::from(*byte))).copied().unwrap_or_default();
        self.lists.get(usize::from(number)).map(|list| &**list).unwrap_or_default()
    }
}

/// A set of characters.
#[derive(Debug)]
pub(super) struct Set {
    ascii: [u64; 2],
    /// Ranges of the others, in order, both ends included.
    others: Box<[(char, char)]>,
    /// Everything but a line feed.
    pub(super) is_dot: bool,
}

impl Set {
    fn new(ranges: Vec<(char, char)>) -> Self {
        let mut ascii = [0, 0];
        for &(first, last) in &ranges {
            for byte in u32::from(first)..=u32::from(last).min(127) {
                if let Some(word) = ascii.get_mut(byte as usize / 64) {
                    *word |= 1_u64 << (byte % 64);
                }
            }
        }
        let is_dot = ranges == [('\0', '\t'), ('\u{b}', char::MAX)];
        Self { ascii, others: ranges.into_iter().filter(|(_, last)| !last.is_ascii()).collect(), is_dot }
    }

    #[inline]
    pub(super) fn has_ascii(&self, byte: u8) -> bool {
        self.ascii.get(usize::from(byte) / 64).is_some_and(|word| word & (1 << (byte % 64)) != 0)
    }

    pub(super) fn has_other(&self, c: char) -> bool {
        let after = self.others.partition_point(|(first, _)| *first <= c);
        after.checked_sub(1).and_then(|place| self.others.get(place)).is_some_and(|(_, last)| c <= *last)
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Program {
    pub(super) instructions: Vec<Instruction>,
    /// Number of groups.
    pub(super) groups: usize,
    /// Whether a match begins at the begin of the text.
    pub(super) is_anchored: bool,
    /// The bytes that a match can begin with, if it cannot be empty.
    pub(super) first: Option<Box<[bool; 256]>>,
    /// Whether a repetition has rounds that can be empty, so that running it may not end by itself.
    pub(super) has_empty_rounds: bool,
}

impl Program {
    /// Compiles an expression.
    ///
    /// # Errors
    /// The expression is wrong or too large, or matches bytes instead of characters.
    pub fn new(translated: &Translated) -> Result<Self, String> {
        let hir = ParserBuilder::new().utf8(false).build().parse(&translated.regex);
        let hir = hir.map_err(|error| wattle_node::bad_pattern(&error))?;
        let mut first = Box::new([false; 256]);
        let can_be_empty = collect_first(&hir, &mut first);
        let mut program = Self {
            instructions: Vec::new(),
            groups: translated.groups.len(),
            is_anchored: hir.properties().look_set_prefix().contains(Look::Start),
            first: (!can_be_empty).then_some(first),
            has_empty_rounds: false,
        };
        program.compile(&hir, &translated.groups)?;
        program.add(Instruction::Match)?;
        program.look_ahead();
        Ok(program)
    }

    fn add(&mut self, instruction: Instruction) -> Result<usize, String> {
        if self.instructions.len() >= MAX_INSTRUCTIONS {
            return Err("the pattern is too large; repeat less, or use smaller numbers in `{}`".into());
        }
        self.instructions.push(instruction);
        Ok(self.instructions.len() - 1)
    }

    fn set(&mut self, place: usize, instruction: Instruction) {
        if let Some(old) = self.instructions.get_mut(place) {
            *old = instruction;
        }
    }

    fn compile(&mut self, hir: &Hir, groups: &[Group]) -> Result<(), String> {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => {
                std::str::from_utf8(&literal.0).map_err(|_| BYTES.to_owned())?;
                self.add(Instruction::Literal(literal.0.clone()))?;
            }
            HirKind::Class(_) => {
                let set = one(hir).ok_or(BYTES)?;
                self.add(Instruction::One(set))?;
            }
            HirKind::Look(look) => {
                self.add(Instruction::Look(*look))?;
            }
            HirKind::Repetition(repetition) => self.repetition(repetition, groups)?,
            HirKind::Capture(capture) => {
                let group = capture.index as usize;
                if let Some(Group::Look(look)) = group.checked_sub(1).and_then(|place| groups.get(place)) {
                    self.add(Instruction::LookAround(Box::new(look.clone())))?;
                    return Ok(());
                }
                self.add(Instruction::Save(2 * group))?;
                self.compile(&capture.sub, groups)?;
                self.add(Instruction::Save(2 * group + 1))?;
            }
            HirKind::Concat(parts) => {
                for part in parts {
                    self.compile(part, groups)?;
                }
            }
            HirKind::Alternation(parts) if parts.len() >= MIN_CHOICE => {
                let choice = self.add(Instruction::Jump(0))?;
                let mut ends = Vec::new();
                let mut starts = Vec::new();
                for part in parts {
                    starts.push((part, self.instructions.len()));
                    self.compile(part, groups)?;
                    ends.push(self.add(Instruction::Jump(0))?);
                }
                let end = self.instructions.len();
                ends.into_iter().for_each(|jump| self.set(jump, Instruction::Jump(end)));
                self.set(choice, Instruction::Choice(Box::new(Choice::new(&starts))));
            }
            HirKind::Alternation(parts) => {
                let mut ends = Vec::new();
                for (number, part) in parts.iter().enumerate() {
                    let has_next = number + 1 < parts.len();
                    let split = if has_next { Some(self.add(Instruction::Split(0, 0))?) } else { None };
                    self.compile(part, groups)?;
                    if let Some(split) = split {
                        ends.push(self.add(Instruction::Jump(0))?);
                        self.set(split, Instruction::Split(split + 1, self.instructions.len()));
                    }
                }
                let end = self.instructions.len();
                ends.into_iter().for_each(|jump| self.set(jump, Instruction::Jump(end)));
            }
        }
        Ok(())
    }

    fn repetition(&mut self, repetition: &Repetition, groups: &[Group]) -> Result<(), String> {
        let Repetition { min, max, greedy, sub } = repetition;
        if let Some(set) = one(sub) {
            let max = max.map_or(usize::MAX, |max| max as usize);
            let many = Many { set, min: *min as usize, max, greedy: *greedy, then: None };
            self.add(Instruction::Many(Box::new(many)))?;
            return Ok(());
        }
        let split = |this: &mut Self, place: usize, inside: usize, after: usize| {
            let (first, second) = if *greedy { (inside, after) } else { (after, inside) };
            this.set(place, Instruction::Split(first, second));
        };
        for _ in 1..*min {
            self.compile(sub, groups)?;
        }
        match max {
            None => {
                self.has_empty_rounds |= sub.properties().minimum_len() == Some(0);
                // The loop is behind its body, as in the crate `regex`, so that an empty round ends it.
                let optional = if *min == 0 { Some(self.add(Instruction::Split(0, 0))?) } else { None };
                let body = self.instructions.len();
                self.compile(sub, groups)?;
                let again = self.add(Instruction::Split(0, 0))?;
                split(self, again, body, again + 1);
                if let Some(place) = optional {
                    split(self, place, place + 1, again + 1);
                }
            }
            Some(max) => {
                if *min > 0 {
                    self.compile(sub, groups)?;
                }
                let mut optional = Vec::new();
                for _ in *min..*max {
                    optional.push(self.add(Instruction::Split(0, 0))?);
                    self.compile(sub, groups)?;
                }
                let end = self.instructions.len();
                optional.into_iter().for_each(|place| split(self, place, place + 1, end));
            }
        }
        Ok(())
    }

    /// Finds the byte that must follow each repetition.
    fn look_ahead(&mut self) {
        for place in 0..self.instructions.len() {
            let then = self.byte_at(place + 1);
            if let Some(Instruction::Many(many)) = self.instructions.get_mut(place) {
                many.then = then;
            }
        }
    }

    /// The byte that the text must have at an instruction.
    fn byte_at(&self, mut place: usize) -> Option<u8> {
        loop {
            match self.instructions.get(place)? {
                Instruction::Literal(text) => return text.first().copied(),
                Instruction::Save(_) | Instruction::LookAround(_) | Instruction::Look(_) => place += 1,
                // Jumps go forward only, so this ends.
                Instruction::Jump(to) => place = *to,
                _ => return None,
            }
        }
    }
}

const BYTES: &str = "the pattern matches bytes instead of characters; remove `(?-u)`, and write characters for `\\x` codes \
                     above 7f";

/// The characters of an expression that matches exactly one.
fn one(hir: &Hir) -> Option<Set> {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            Some(Set::new(class.iter().map(|range| (range.start(), range.end())).collect()))
        }
        HirKind::Class(Class::Bytes(class)) if class.is_ascii() => {
            Some(Set::new(class.iter().map(|range| (char::from(range.start()), char::from(range.end()))).collect()))
        }
        HirKind::Literal(literal) => {
            let mut chars = std::str::from_utf8(&literal.0).ok()?.chars();
            let only = chars.next().filter(|_| chars.next().is_none())?;
            Some(Set::new(vec![(only, only)]))
        }
        _ => None,
    }
}

/// Collects the bytes that a match can begin with. Returns whether it can be empty.
fn collect_first(hir: &Hir, first: &mut [bool; 256]) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            let byte = literal.0.first().copied().unwrap_or_default();
            if let Some(is) = first.get_mut(usize::from(byte)) {
                *is = true;
            }
            literal.0.is_empty()
        }
        HirKind::Class(_) => {
            let set = one(hir);
            for (byte, is) in (0..=u8::MAX).zip(first.iter_mut()) {
                *is |= set.as_ref().is_none_or(|set| match byte.is_ascii() {
                    true => set.has_ascii(byte),
                    false => !set.others.is_empty(),
                });
            }
            false
        }
        HirKind::Repetition(repetition) => collect_first(&repetition.sub, first) || repetition.min == 0,
        HirKind::Capture(capture) => collect_first(&capture.sub, first),
        HirKind::Concat(parts) => parts.iter().all(|part| collect_first(part, first)),
        HirKind::Alternation(parts) => {
            // Not `any`, which would stop at the first part that can be empty.
            parts.iter().filter(|part| collect_first(part, first)).count() > 0
        }
    }
}
