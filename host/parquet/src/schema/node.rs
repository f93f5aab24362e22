//! The tree of columns that a record is written to.

use std::ops::Range;

use wattle_convert::time::Format;

/// A column, or a part of one.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its number, an index of `Inner::names` and of the counts of misfits.
    pub(crate) id: usize,
    /// Name of the column or field.
    pub(crate) name: String,
    /// Numbers of the leaves below it.
    pub(crate) leaves: Range<usize>,
    /// Definition level of its values. Below that, it is null.
    pub(crate) present: i16,
    /// Whether a record without it fails.
    pub(crate) required: bool,
    pub(crate) shape: Shape,
}

/// What a node consists of.
#[derive(Debug)]
pub(crate) enum Shape {
    Leaf(LeafType),
    Struct(Fields),
    List {
        /// Repetition level of all elements but the first.
        level: i16,
        element: Box<Node>,
    },
    /// The first leaf has the keys.
    Map {
        level: i16,
        value: Box<Node>,
    },
}

/// The type of a leaf.
#[derive(Debug)]
pub(crate) enum LeafType {
    String,
    Json,
    Int,
    Bigint,
    Double,
    Boolean,
    Timestamp(Format),
    Date(Format),
}

/// The fields of a struct, or the columns of a record.
#[derive(Debug)]
pub(crate) struct Fields {
    pub(crate) nodes: Vec<Node>,
    pub(crate) lookup: Lookup,
}

/// Finds fields by key: a tree of the paths of all fields of a struct.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Fields that are this value.
    pub(crate) here: Vec<usize>,
    /// Keys of this value that lead to fields.
    pub(crate) keys: Vec<Key>,
}

/// A key in a [`Lookup`].
#[derive(Debug)]
pub(crate) struct Key {
    /// Its number, unique in the schema.
    pub(crate) id: usize,
    /// The key, unescaped.
    pub(crate) text: Box<str>,
    /// Whether the case of letters counts.
    pub(crate) exact: bool,
    pub(crate) below: Lookup,
}

impl Key {
    pub(crate) fn is(&self, key: &[u8]) -> bool {
        let text = self.text.as_bytes();
        text == key || (!self.exact && text.eq_ignore_ascii_case(key))
    }
}
