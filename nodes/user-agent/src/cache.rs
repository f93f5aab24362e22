//! Results of user agents that were seen before.

use std::collections::HashMap;

/// Texts with results, at most a fixed number. Two halves: the older one goes when the newer one is full, and what is
/// used comes into the newer one, so that frequent texts stay.
#[derive(Debug)]
pub(crate) struct Cache {
    newer: HashMap<Box<[u8]>, Box<[u8]>>,
    older: HashMap<Box<[u8]>, Box<[u8]>>,
    half: usize,
}

impl Cache {
    pub(crate) fn new(size: usize) -> Self {
        Self { newer: HashMap::new(), older: HashMap::new(), half: size.div_ceil(2).max(1) }
    }

    /// The result of a text, which `make` appends if it is not known.
    pub(crate) fn get(&mut self, text: &[u8], make: impl FnOnce(&mut Vec<u8>)) -> &[u8] {
        if !self.newer.contains_key(text) {
            if self.newer.len() >= self.half {
                self.older = std::mem::take(&mut self.newer);
            }
            let result = self.older.remove(text).unwrap_or_else(|| {
                let mut result = Vec::new();
                make(&mut result);
                result.into()
            });
            self.newer.insert(text.into(), result);
        }
        self.newer.get(text).map(|result| &**result).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequent_texts_stay_and_the_number_is_bounded() {
        let mut cache = Cache::new(10);
        let mut made = 0;
        for number in 0..1000_u32 {
            assert_eq!(cache.get(b"often", |out| out.push(1)), [1], "only the first call makes it");
            let text = number.to_le_bytes();
            let result = cache.get(&text, |out| {
                made += 1;
                out.extend_from_slice(&text);
            });
            assert_eq!(result, text);
            assert!(cache.newer.len() + cache.older.len() <= 11);
        }
        assert_eq!(made, 1000);
        cache.get(b"often", |_| made += 1);
        assert_eq!(made, 1000, "still known");
    }
}
