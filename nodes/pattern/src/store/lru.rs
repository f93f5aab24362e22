//! Slots in the order of their last use.

/// Slots in a list from the one unused for longest to the one used last, and free slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lru {
    /// The slots before and after each; free slots have no meaning.
    links: Vec<(Option<u32>, Option<u32>)>,
    free: Vec<u32>,
    oldest: Option<u32>,
    newest: Option<u32>,
}

impl Lru {
    /// Takes a free slot, as the one used last.
    pub(crate) fn add(&mut self) -> Option<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.links.push((None, None));
                u32::try_from(self.links.len() - 1).ok()?
            }
        };
        self.append(slot);
        Some(slot)
    }

    /// Marks a slot as used last.
    pub(crate) fn touch(&mut self, slot: u32) {
        if self.newest != Some(slot) {
            self.unlink(slot);
            self.append(slot);
        }
    }

    /// Frees a slot.
    pub(crate) fn remove(&mut self, slot: u32) {
        self.unlink(slot);
        self.free.push(slot);
    }

    /// The slot unused for longest.
    pub(crate) const fn oldest(&self) -> Option<u32> {
        self.oldest
    }

    /// The slots, the one unused for longest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.oldest, |slot| self.links.get(*slot as usize)?.1)
    }

    fn append(&mut self, slot: u32) {
        let before = self.newest.replace(slot);
        self.set(slot, |links| *links = (before, None));
        match before {
            Some(before) => self.set(before, |links| links.1 = Some(slot)),
            None => self.oldest = Some(slot),
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Some((before, after)) = self.links.get(slot as usize).copied() else { return };
        match before {
            Some(before) => self.set(before, |links| links.1 = after),
            None => self.oldest = after,
        }
        match after {
            Some(after) => self.set(after, |links| links.0 = before),
            None => self.newest = before,
        }
    }

    fn set(&mut self, slot: u32, change: impl FnOnce(&mut (Option<u32>, Option<u32>))) {
        if let Some(links) = self.links.get_mut(slot as usize) {
            change(links);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_list_by_last_use(steps: Vec<(u8, u8)>) {
            let (mut lru, mut model) = (Lru::default(), Vec::<u32>::new());
            for (step, which) in steps {
                if step % 3 == 0 || model.is_empty() {
                    model.push(lru.add().unwrap());
                } else {
                    let slot = model.remove(usize::from(which) % model.len());
                    if step % 3 == 1 {
                        lru.touch(slot);
                        model.push(slot);
                    } else {
                        lru.remove(slot);
                    }
                }
                prop_assert_eq!(lru.iter().collect::<Vec<_>>(), model.clone());
                prop_assert_eq!(lru.oldest(), model.first().copied());
            }
        }
    }
}
