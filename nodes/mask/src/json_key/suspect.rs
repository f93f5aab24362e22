//! Finds the escapes that can hide a key or the end of a value from [`raw`](super::raw) reading.

/// Finds unnecessary escapes, if they matter for a set of keys.
pub(super) struct Suspects {
    /// Whether keys contain characters beyond ASCII.
    beyond_ascii: bool,
    /// Whether keys contain a slash.
    slash: bool,
    /// Characters whose escapes matter.
    matters: [bool; 128],
}

impl Suspects {
    /// Prepares for a set of keys.
    pub(super) fn new<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut matters = [false; 128];
        let mut beyond_ascii = false;
        // Quotes end strings; the other characters form escapes of a deeper layer.
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
        Self { beyond_ascii, slash, matters }
    }

    /// The first two bytes of such escapes.
    pub(super) fn pairs(&self) -> &'static [[u8; 2]] {
        if self.slash { &[[b'\\', b'u'], [b'\\', b'/']] } else { &[[b'\\', b'u']] }
    }

    /// Whether a text that begins like such an escape is one.
    pub(super) fn is_suspect(&self, text: &[u8], at: usize) -> bool {
        if text.get(at + 1) == Some(&b'/') {
            return true;
        }
        let digits = text.get(at + 2..at + 6).and_then(|d| str::from_utf8(d).ok());
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(code) => self.matters.get(code as usize).copied().unwrap_or(self.beyond_ascii),
            // The digits can be escapes themselves; the search finds those too.
            None => false,
        }
    }
}
