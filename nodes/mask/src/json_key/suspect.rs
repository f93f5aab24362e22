//! Finds the escapes that can hide a key or the end of a value from [`raw`](super::raw) reading.

use memchr::memmem::{Finder, FinderBuilder};

/// Finds escapes that spell what could have been written plainly, as far as it matters for a set of keys.
pub(super) struct Suspects {
    unicode: Finder<'static>,
    /// Whether keys hold characters beyond ASCII.
    beyond_ascii: bool,
    slash: Option<Finder<'static>>,
    /// Characters that, spelled as an escape, matter.
    matters: [bool; 128],
}

impl Suspects {
    /// Prepares for keys.
    pub(super) fn new<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut matters = [false; 128];
        let mut beyond_ascii = false;
        // Quotes end strings; the others build escapes of a deeper layer.
        let keys: Vec<&[u8]> = keys.chain([&b"\"\\u0123456789abcdefABCDEF"[..]]).collect();
        for byte in keys.iter().flat_map(|k| k.iter()) {
            match matters.get_mut(usize::from(*byte)) {
                Some(place) => *place = true,
                None => beyond_ascii = true,
            }
            if let Some(place) = matters.get_mut(usize::from(byte.to_ascii_lowercase())) {
                *place = true;
            }
            if let Some(place) = matters.get_mut(usize::from(byte.to_ascii_uppercase())) {
                *place = true;
            }
        }
        let slash = keys.iter().any(|k| k.contains(&b'/'));
        let finder = |needle: &[u8]| FinderBuilder::new().build_forward(needle).into_owned();
        Self {
            unicode: finder(if beyond_ascii { b"\\u" } else { b"\\u00" }),
            beyond_ascii,
            slash: slash.then(|| finder(b"\\/")),
            matters,
        }
    }

    /// Sets `found` to the places of such escapes, in order.
    pub(super) fn find(&self, text: &[u8], found: &mut Vec<usize>) {
        found.clear();
        found.extend(self.unicode.find_iter(text).filter(|&at| self.is_suspect(text, at)));
        if let Some(slash) = &self.slash {
            found.extend(slash.find_iter(text));
            found.sort_unstable();
        }
    }

    fn is_suspect(&self, text: &[u8], at: usize) -> bool {
        let digits = text.get(at + 2..at + 6).and_then(|d| str::from_utf8(d).ok());
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(code) => self.matters.get(code as usize).copied().unwrap_or(self.beyond_ascii),
            // Its digits may be spelled by escapes themselves; those are found too.
            None => false,
        }
    }
}
