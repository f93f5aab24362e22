//! A list of texts, which keeps its memory from row to row. Its search stays fast for rows with
//! many texts.

/// Texts in insertion order.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    /// End of each text in `bytes`.
    ends: Vec<usize>,
    /// Indices of the texts, sorted by text and then by index.
    order: Vec<usize>,
}

impl Texts {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.order.clear();
    }

    /// Adds the text that `write` appends.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text at this index; empty if the index is out of range.
    pub(crate) fn get(&self, number: usize) -> &[u8] {
        get(&self.bytes, &self.ends, number)
    }

    /// Makes the texts searchable. Call it after adding the last one.
    pub(crate) fn sort(&mut self) {
        let Self { bytes, ends, order } = self;
        order.extend(0..ends.len());
        order.sort_unstable_by(|&a, &b| get(bytes, ends, a).cmp(get(bytes, ends, b)).then(a.cmp(&b)));
    }

    /// Index of the first text that equals this one.
    pub(crate) fn first(&self, text: &[u8]) -> Option<usize> {
        let place = self.order.partition_point(|&number| self.get(number) < text);
        self.order.get(place).copied().filter(|&number| self.get(number) == text)
    }
}

fn get<'a>(bytes: &'a [u8], ends: &[usize], number: usize) -> &'a [u8] {
    let start = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    ends.get(number).and_then(|&end| bytes.get(start..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_of_equal_texts() {
        let mut texts = Texts::default();
        for round in 0..2 {
            texts.clear();
            for text in ["b", "", "a", "b", "ab"] {
                texts.add(|out| out.extend_from_slice(text.as_bytes()));
            }
            texts.sort();
            assert_eq!(texts.len(), 5, "round {round}");
            assert_eq!(texts.get(4), b"ab");
            for (text, first) in [("b", Some(0)), ("", Some(1)), ("a", Some(2)), ("ab", Some(4)), ("c", None)] {
                assert_eq!(texts.first(text.as_bytes()), first, "{text}");
            }
        }
    }
}
