//! The parse trees of Drain, one per group, of a fixed depth.
//!
//! Below the root of a group are nodes by number of words, below these by the first words of a text. A leaf lists the
//! patterns whose texts lead to it, so a text is compared with few of them. All trees share one table of children.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::words::WILD;

/// Number of a node of a tree.
pub(crate) type NodeId = u32;

/// A hash map whose keys are hashes or small numbers.
pub(crate) type FastMap<K, V> = HashMap<K, V, BuildHasherDefault<Fold>>;

/// Folds numbers that are hashes already. The order of no such map is ever visible.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mixed = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The parent and the key of this node among its children; `None` for the root of a group.
    place: Option<(NodeId, u64)>,
    children: usize,
    /// Slots of patterns.
    patterns: Vec<u32>,
}

/// Settings of the trees.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// How many of the first words lead to a leaf.
    pub(crate) levels: usize,
    /// Maximum number of children of a node.
    pub(crate) max_children: usize,
}

/// The trees of all groups.
#[derive(Clone, Debug)]
pub(crate) struct Trees {
    shape: Shape,
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    children: FastMap<(NodeId, u64), NodeId>,
}

impl Trees {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, nodes: Vec::new(), free: Vec::new(), children: FastMap::default() }
    }

    /// Adds the root of a group.
    pub(crate) fn add_root(&mut self) -> NodeId {
        self.add(None)
    }

    /// Removes the root of a group, which must have no patterns.
    pub(crate) fn remove_root(&mut self, root: NodeId) {
        self.free.push(root);
    }

    fn add(&mut self, place: Option<(NodeId, u64)>) -> NodeId {
        let node = Node { place, ..Node::default() };
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(free) = self.nodes.get_mut(id as usize) {
                    *free = node;
                }
                id
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some((parent, key)) = place {
            self.children.insert((parent, key), id);
            if let Some(parent) = self.nodes.get_mut(parent as usize) {
                parent.children += 1;
            }
        }
        id
    }

    fn child(&self, node: NodeId, key: u64) -> Option<NodeId> {
        self.children.get(&(node, key)).copied()
    }

    fn child_or_new(&mut self, node: NodeId, key: u64) -> NodeId {
        self.child(node, key).unwrap_or_else(|| self.add(Some((node, key))))
    }

    /// The patterns of the leaf to which a text leads.
    pub(crate) fn find(&self, root: NodeId, words: usize, branches: impl Iterator<Item = u64>) -> &[u32] {
        let mut node = self.child(root, words as u64);
        for branch in branches.take(self.shape.levels) {
            let Some(known) = node else { break };
            let exact = if branch == WILD { None } else { self.child(known, branch) };
            node = exact.or_else(|| self.child(known, WILD));
        }
        node.map_or(&[], |leaf| self.patterns(leaf))
    }

    /// The patterns of a leaf.
    pub(crate) fn patterns(&self, leaf: NodeId) -> &[u32] {
        self.nodes.get(leaf as usize).map_or(&[], |leaf| &leaf.patterns)
    }

    /// Adds a pattern to the leaf to which its text leads, with new nodes where they are missing. Returns the leaf.
    pub(crate) fn insert(
        &mut self,
        root: NodeId,
        words: usize,
        branches: impl Iterator<Item = u64>,
        pattern: u32,
    ) -> NodeId {
        let mut node = self.child_or_new(root, words as u64);
        for branch in branches.take(self.shape.levels) {
            let key = self.branch(node, branch);
            node = self.child_or_new(node, key);
        }
        self.push(node, pattern)
    }

    /// Adds a pattern to the leaf at the end of a path from [`path`](Self::path).
    pub(crate) fn insert_at(&mut self, root: NodeId, path: &[u64], pattern: u32) -> NodeId {
        let leaf = path.iter().fold(root, |node, key| self.child_or_new(node, *key));
        self.push(leaf, pattern)
    }

    fn push(&mut self, leaf: NodeId, pattern: u32) -> NodeId {
        if let Some(node) = self.nodes.get_mut(leaf as usize) {
            node.patterns.push(pattern);
        }
        leaf
    }

    /// The child to which a word leads that a new pattern has here: its own, as long as there is also room for a wildcard.
    fn branch(&self, node: NodeId, branch: u64) -> u64 {
        if branch == WILD || self.child(node, branch).is_some() {
            return branch;
        }
        let children = self.nodes.get(node as usize).map_or(0, |node| node.children);
        let reserved = usize::from(self.child(node, WILD).is_none());
        if children + reserved < self.shape.max_children { branch } else { WILD }
    }

    /// The keys from the root of the group to a leaf.
    pub(crate) fn path(&self, leaf: NodeId) -> Vec<u64> {
        let mut path = Vec::new();
        let mut node = leaf;
        while let Some((parent, key)) = self.nodes.get(node as usize).and_then(|node| node.place) {
            path.push(key);
            node = parent;
        }
        path.reverse();
        path
    }

    /// Removes a pattern, and the nodes that lead to no other.
    pub(crate) fn remove(&mut self, leaf: NodeId, pattern: u32) {
        if let Some(node) = self.nodes.get_mut(leaf as usize) {
            node.patterns.retain(|known| *known != pattern);
        }
        let mut node = leaf;
        while let Some(Node { place: Some(place), children: 0, patterns }) = self.nodes.get(node as usize)
            && patterns.is_empty()
        {
            let place = *place;
            self.children.remove(&place);
            self.free.push(node);
            node = place.0;
            if let Some(parent) = self.nodes.get_mut(node as usize) {
                parent.children = parent.children.saturating_sub(1);
            }
        }
    }

    /// Number of nodes in use.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { levels: 1, max_children: 3 };

    #[test]
    fn texts_lead_to_the_leaf_of_their_length_and_first_words() {
        let mut trees = Trees::new(SHAPE);
        let root = trees.add_root();
        trees.insert(root, 2, [7, 8].into_iter(), 0);
        trees.insert(root, 3, [7, 8, 9].into_iter(), 1);
        trees.insert(root, 2, [WILD, 8].into_iter(), 2);
        assert_eq!(trees.find(root, 2, [7, 1].into_iter()), [0]);
        assert_eq!(trees.find(root, 3, [7, 1].into_iter()), [1]);
        assert_eq!(trees.find(root, 2, [6, 1].into_iter()), [2]);
        assert_eq!(trees.find(root, 3, [6, 1].into_iter()), [0_u32; 0]);
    }

    #[test]
    fn a_full_node_has_room_for_the_wildcard_only() {
        let mut trees = Trees::new(SHAPE);
        let root = trees.add_root();
        for word in 1..=5_u32 {
            trees.insert(root, 1, [u64::from(word)].into_iter(), word);
        }
        assert_eq!(trees.find(root, 1, [2].into_iter()), [2]);
        assert_eq!(trees.find(root, 1, [3].into_iter()), [3, 4, 5]);
        assert_eq!(trees.find(root, 1, [99].into_iter()), [3, 4, 5]);
    }

    #[test]
    fn nodes_without_patterns_are_removed_and_paths_restore_the_rest() {
        let mut trees = Trees::new(SHAPE);
        let root = trees.add_root();
        let leaves: Vec<NodeId> =
            (1..=5_u32).map(|word| trees.insert(root, 1, [u64::from(word)].into_iter(), word)).collect();
        let paths: Vec<_> = leaves.iter().map(|leaf| trees.path(*leaf)).collect();
        let mut same = Trees::new(SHAPE);
        let same_root = same.add_root();
        for (path, pattern) in paths.iter().zip(1..) {
            same.insert_at(same_root, path, pattern);
        }
        for word in 1..=6 {
            assert_eq!(same.find(same_root, 1, [word].into_iter()), trees.find(root, 1, [word].into_iter()));
        }
        for (leaf, pattern) in leaves.into_iter().zip(1..) {
            trees.remove(leaf, pattern);
        }
        assert_eq!(trees.len(), 1);
        trees.remove_root(root);
        assert_eq!(trees.len(), 0);
        assert_eq!(trees.add_root(), root);
    }
}
