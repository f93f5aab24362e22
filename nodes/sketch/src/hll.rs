//! The number of distinct values.

use wattle_snapshot::{Damaged, Reader, Writer};

/// An estimate of how many distinct values there were: HyperLogLog (Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog: the
/// analysis of a near-optimal cardinality estimation algorithm", 2007) with 64-bit hashes and the estimator of Ertl ("New
/// cardinality estimation algorithms for HyperLogLog sketches", 2017, algorithm 6), which needs no tables and has no bias
/// at any size.
///
/// Up to `2^precision / 16` values it holds their hashes and is exact; above, its standard error is `1.04 / √(2^precision)`.
/// The state depends only on the set of values, not on their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hll {
    precision: u8,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// Hashes in order.
    Few(Vec<u64>),
    /// The greatest rank of each register.
    Registers(Box<[u8]>),
}

impl Hll {
    /// The precisions that are allowed.
    pub const PRECISIONS: std::ops::RangeInclusive<u8> = 4..=16;

    /// A sketch of no values. `precision` is brought into [`PRECISIONS`](Self::PRECISIONS).
    #[must_use]
    pub fn new(precision: u8) -> Self {
        let precision = precision.clamp(*Self::PRECISIONS.start(), *Self::PRECISIONS.end());
        Self { precision, form: Form::Few(Vec::new()) }
    }

    /// Bytes that the sketch takes at most.
    #[must_use]
    pub const fn max_bytes(precision: u8) -> usize {
        1 << precision
    }

    /// Bytes that the sketch takes now.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        match &self.form {
            Form::Few(hashes) => hashes.len() * 8,
            Form::Registers(registers) => registers.len(),
        }
    }

    const fn max_few(&self) -> usize {
        (1 << self.precision) / 16
    }

    /// Adds a value by its hash, of which every bit must count.
    pub fn add(&mut self, hash: u64) {
        let max = self.max_few();
        match &mut self.form {
            Form::Registers(registers) => raise(registers, self.precision, hash),
            Form::Few(hashes) => {
                let Err(place) = hashes.binary_search(&hash) else { return };
                if hashes.len() < max {
                    hashes.insert(place, hash);
                } else {
                    let mut registers = Self::registers(self.precision, hashes);
                    raise(&mut registers, self.precision, hash);
                    self.form = Form::Registers(registers);
                }
            }
        }
    }

    fn registers(precision: u8, hashes: &[u64]) -> Box<[u8]> {
        let mut registers = vec![0; 1 << precision].into_boxed_slice();
        hashes.iter().for_each(|hash| raise(&mut registers, precision, *hash));
        registers
    }

    /// Adds the values of another sketch of the same precision.
    pub fn merge(&mut self, other: &Self) {
        match (&mut self.form, &other.form) {
            (_, Form::Few(hashes)) => hashes.iter().for_each(|hash| self.add(*hash)),
            (Form::Few(hashes), Form::Registers(registers)) => {
                let mut registers = registers.clone();
                hashes.iter().for_each(|hash| raise(&mut registers, self.precision, *hash));
                self.form = Form::Registers(registers);
            }
            (Form::Registers(own), Form::Registers(registers)) => {
                for (own, other) in own.iter_mut().zip(registers) {
                    *own = (*own).max(*other);
                }
            }
        }
    }

    /// The estimate.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of at most 2^64, more than 0"
    )]
    pub fn estimate(&self) -> u64 {
        let registers = match &self.form {
            Form::Few(hashes) => return hashes.len() as u64,
            Form::Registers(registers) => registers,
        };
        // How many registers have each rank, of 0 to q + 1.
        let q = usize::from(64 - self.precision);
        let mut counts = [0_u32; 64];
        for rank in registers {
            if let Some(count) = counts.get_mut(usize::from(*rank)) {
                *count += 1;
            }
        }
        let count = |rank: usize| f64::from(counts.get(rank).copied().unwrap_or_default());
        let m = registers.len() as f64;
        let mut z = m * tau(1.0 - count(q + 1) / m);
        for rank in (1..=q).rev() {
            z = 0.5 * (z + count(rank));
        }
        z += m * sigma(count(0) / m);
        (m * m / (2.0 * std::f64::consts::LN_2 * z)).round() as u64
    }

    /// Appends the sketch to a snapshot, without its precision.
    pub fn save(&self, to: &mut Writer) {
        to.flag(matches!(self.form, Form::Registers(_)));
        match &self.form {
            Form::Few(hashes) => {
                to.size(hashes.len());
                hashes.iter().for_each(|hash| to.word(*hash));
            }
            Form::Registers(registers) => to.bytes(registers),
        }
    }

    /// Takes a sketch of this precision from a snapshot.
    ///
    /// # Errors
    ///
    /// The snapshot is damaged, or the sketch has another precision.
    pub fn restore(precision: u8, from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let mut sketch = Self::new(precision);
        if from.flag()? {
            let registers = from.bytes()?;
            let max = 65 - sketch.precision;
            if registers.len() != 1 << sketch.precision || registers.iter().any(|rank| *rank > max) {
                return Err(Damaged);
            }
            sketch.form = Form::Registers(registers.into());
        } else {
            let size = from.size(8)?;
            let hashes: Vec<u64> = (0..size).map(|_| from.word()).collect::<Result<_, _>>()?;
            if size > sketch.max_few() || !hashes.is_sorted_by(|a, b| a < b) {
                return Err(Damaged);
            }
            sketch.form = Form::Few(hashes);
        }
        Ok(sketch)
    }
}

/// Raises the register of a hash: its first bits choose the register, and the zeros after them are the rank.
fn raise(registers: &mut [u8], precision: u8, hash: u64) {
    let index = usize::try_from(hash >> (64 - precision)).unwrap_or_default();
    // The bit after the last one limits the rank.
    let rest = hash << precision | 1 << (precision - 1);
    let rank = u8::try_from(rest.leading_zeros() + 1).unwrap_or(u8::MAX);
    if let Some(register) = registers.get_mut(index) {
        *register = rank.max(*register);
    }
}

#[expect(clippy::float_cmp, reason = "the series ends when nothing changes any more")]
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

#[expect(clippy::float_cmp, reason = "the series ends when nothing changes any more")]
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wattle_snapshot::hash;

    use super::*;

    fn of(precision: u8, values: impl IntoIterator<Item = u64>) -> Hll {
        let mut sketch = Hll::new(precision);
        values.into_iter().for_each(|value| sketch.add(hash(0, &value.to_le_bytes())));
        sketch
    }

    #[test]
    fn the_error_is_within_its_bound_at_every_size() {
        // Fixed hashes: the result never changes. Of 20 sketches of each size, the root of the mean square of the errors must
        // be near the standard error of the paper.
        for precision in [8, 12, 14] {
            let bound = 1.04 / f64::from(1_u32 << precision).sqrt();
            for size in [10_u64, 300, 1_000, 5_000, 20_000, 100_000] {
                let errors = (0..20).map(|seed| {
                    let sketch = of(precision, (0..size).map(|value| value << 8 | seed));
                    let estimate = u32::try_from(sketch.estimate()).unwrap();
                    f64::from(estimate) / f64::from(u32::try_from(size).unwrap()) - 1.0
                });
                let square = errors.map(|error| error * error).sum::<f64>() / 20.0;
                assert!(square.sqrt() < 1.5 * bound, "{precision} {size}: {} of {bound}", square.sqrt());
            }
        }
    }

    #[test]
    fn few_values_are_counted_exactly() {
        for size in 0..=256 {
            assert_eq!(of(12, (0..size).chain(0..size)).estimate(), size);
        }
        assert!(matches!(of(12, 0..257).form, Form::Registers(_)));
    }

    #[test]
    fn the_highest_and_the_lowest_hash_have_a_register() {
        let mut sketch = Hll { precision: 4, form: Form::Registers(vec![0; 16].into()) };
        sketch.add(0);
        sketch.add(u64::MAX);
        let Form::Registers(registers) = &sketch.form else { panic!() };
        assert_eq!((registers[0], registers[15]), (61, 1));
        assert!(sketch.estimate() > 0);
        assert_eq!(Hll::restore(4, &mut Reader::new(&saved(&sketch)).unwrap()), Ok(sketch));
        let full = Hll { precision: 4, form: Form::Registers(vec![61; 16].into()) };
        assert!(full.estimate() > 1 << 60);
    }

    fn saved(sketch: &Hll) -> Vec<u8> {
        let mut writer = Writer::new();
        sketch.save(&mut writer);
        writer.finish()
    }

    proptest! {
        #[test]
        fn a_merged_sketch_is_that_of_all_values(a in 0..2000_u64, b in 0..2000_u64, both in 0..500_u64) {
            let (first, second) = (0..a + both, a..a + both + b);
            let mut merged = of(10, first.clone());
            merged.merge(&of(10, second.clone()));
            prop_assert_eq!(&merged, &of(10, second.rev().chain(first)));
            let restored = Hll::restore(10, &mut Reader::new(&saved(&merged)).unwrap());
            prop_assert_eq!(restored, Ok(merged));
        }

        #[test]
        fn any_bytes_are_a_sketch_or_refused(words in prop::collection::vec(any::<u64>(), 0..20), flag: bool) {
            let mut writer = Writer::new();
            writer.flag(flag);
            writer.size(words.len());
            words.iter().for_each(|word| writer.word(*word));
            if let Ok(sketch) = Hll::restore(4, &mut Reader::new(&writer.finish()).unwrap()) {
                let _ = sketch.estimate();
            }
        }
    }
}
