//! Finds the values at several paths in one pass over the text.

use crate::elements::{walk_elements, walk_members};
use crate::scan::{container, kind_at, value, white};
use crate::text::same_key;
use crate::{Error, ErrorKind, Kind, Path, Segment, Value};

/// Maximum number of paths in one pass: the bits of a mask.
const PASS: usize = 64;

/// Writes the value at each of `paths`, or `None`, to the same index of `out`. Further entries of
/// `out` stay unchanged.
///
/// Paths with a common beginning share that part of the search. The text after the last value found
/// is not read.
///
/// # Errors
///
/// The text is invalid before the last value, or a path contains `[*]`. Values found before the
/// error stay in `out`.
pub fn find_many(text: &[u8], paths: &[&Path], out: &mut [Option<Value>]) -> Result<(), Error> {
    for (paths, out) in paths.chunks(PASS).zip(out.chunks_mut(PASS)) {
        let mut search = Search { text, paths, out, open: 0 };
        search.run()?;
    }
    Ok(())
}

/// A set of paths: bit i stands for path i of the pass.
type Set = u64;

/// One pass.
struct Search<'a> {
    text: &'a [u8],
    paths: &'a [&'a Path],
    out: &'a mut [Option<Value>],
    /// Paths without a result yet. The pass ends when this set is empty.
    open: Set,
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), Error> {
        for ((bit, path), out) in self.paths.iter().enumerate().zip(self.out.iter_mut()) {
            *out = None;
            if path.around_each().is_some() {
                return Err(Error::new(ErrorKind::ManyPlaces, 0));
            }
            self.open |= 1 << bit;
        }
        if self.open != 0 {
            self.value(white(self.text, 0), 0, self.open)?;
        }
        Ok(())
    }

    /// Walks the value at `start`, which the paths in `here` reach after `level` segments.
    ///
    /// Returns the end of the value, or `None` when the pass is over. Recursion is as deep as the
    /// longest path.
    fn value(&mut self, start: usize, level: usize, here: Set) -> Result<Option<usize>, Error> {
        let kind = kind_at(self.text, start)?;
        let (mut arrived, mut inside) = (0, 0);
        for bit in bits(here) {
            match (self.segment(bit, level), kind) {
                (None, _) => arrived |= 1 << bit,
                (Some(Segment::Key(_)), Kind::Object) | (Some(Segment::Index(_)), Kind::Array) => inside |= 1 << bit,
                // The value has no such member or element, so the path has no value.
                _ => self.open &= !(1 << bit),
            }
        }
        let end = match kind {
            _ if inside == 0 => self.skip(start)?,
            Kind::Object => self.object(start, level, inside)?,
            _ => self.array(start, level, inside)?,
        };
        let Some(end) = end else {
            return Ok(None);
        };
        for bit in bits(arrived) {
            if let Some(out) = self.out.get_mut(bit) {
                *out = Some(Value { start, end, kind });
            }
        }
        self.open &= !arrived;
        Ok((self.open != 0).then_some(end))
    }

    fn skip(&self, start: usize) -> Result<Option<usize>, Error> {
        // After the last path, the rest of the value is not read.
        if self.open == 0 { Ok(None) } else { value(self.text, start).map(|value| Some(value.end)) }
    }

    fn object(&mut self, start: usize, level: usize, inside: Set) -> Result<Option<usize>, Error> {
        let text = self.text;
        let mut wanted = inside;
        // Lengths of the wanted keys as a bit set: one test refuses most keys.
        let mut lengths = 0_u64;
        for bit in bits(wanted) {
            if let Some(Segment::Key(key)) = self.segment(bit, level) {
                lengths |= length_bit(key.len());
            }
        }
        let mut rest = None;
        let end = walk_members(text, start, |key| {
            let inner = key.inner(text);
            // An escaped key can be longer than its text, so its length says nothing.
            if !key.escaped && lengths & length_bit(inner.len()) == 0 {
                return Ok(Some(value(text, key.value)?.end));
            }
            let mut hits = 0;
            for bit in bits(wanted) {
                if let Some(Segment::Key(name)) = self.segment(bit, level)
                    && same_key(inner, key.escaped, name)
                {
                    hits |= 1 << bit;
                }
            }
            if hits == 0 {
                return Ok(Some(value(text, key.value)?.end));
            }
            // Only the first of repeated keys counts.
            wanted &= !hits;
            let end = self.value(key.value, level + 1, hits)?;
            // All wanted members are found, so the walk stops. `leave` finds the end if it is needed.
            if wanted == 0 {
                rest = end;
                return Ok(None);
            }
            Ok(end)
        })?;
        self.leave(end, rest, wanted, b'}')
    }

    fn array(&mut self, start: usize, level: usize, inside: Set) -> Result<Option<usize>, Error> {
        let text = self.text;
        let mut wanted = inside;
        let mut rest = None;
        let end = walk_elements(text, start, |index, at| {
            let mut hits = 0;
            for bit in bits(wanted) {
                if matches!(self.segment(bit, level), Some(Segment::Index(wanted)) if *wanted == index) {
                    hits |= 1 << bit;
                }
            }
            if hits == 0 {
                return Ok(Some(value(text, at)?.end));
            }
            wanted &= !hits;
            let end = self.value(at, level + 1, hits)?;
            if wanted == 0 {
                rest = end;
                return Ok(None);
            }
            Ok(end)
        })?;
        self.leave(end, rest, wanted, b']')
    }

    /// Returns the end of a container: `end` if it is known, else found from `rest`, or `None` if
    /// the pass is over.
    fn leave(
        &mut self,
        end: Option<usize>,
        rest: Option<usize>,
        wanted: Set,
        close: u8,
    ) -> Result<Option<usize>, Error> {
        match (end, rest) {
            (Some(end), _) => {
                // The container has ended without these paths, so they have no value.
                self.open &= !wanted;
                Ok((self.open != 0).then_some(end))
            }
            (None, Some(rest)) => container(self.text, rest, close).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn segment(&self, bit: usize, level: usize) -> Option<&Segment> {
        self.paths.get(bit)?.segments().get(level)
    }
}

/// Returns the indices of the set bits.
fn bits(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        bit
    })
}

/// Returns the bit for a key of this length.
const fn length_bit(length: usize) -> u64 {
    1 << if length < 63 { length } else { 63 }
}
