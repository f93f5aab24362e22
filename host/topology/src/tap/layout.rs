//! The points of a generation, in the order of its graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::recent::Rings;
use super::{Shared, TapError};

/// A point of the running generation.
#[derive(Clone, Debug)]
pub(crate) struct PointInfo {
    pub(crate) name: Arc<str>,
    pub(crate) pipeline: Arc<str>,
    pub(crate) place: Place,
    /// Whether all of its events are masked.
    pub(crate) is_masked: bool,
    /// Masking nodes that come later, as `PIPELINE/NODE`.
    pub(crate) masks_ahead: BTreeSet<String>,
}

/// Where a point is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Input,
    /// A port of this node.
    Node(Arc<str>),
    Output,
}

/// All points: for each pipeline the input, the ports of its nodes in order, and the outputs.
#[derive(Clone, Default)]
pub(crate) struct Layout {
    points: Vec<PointInfo>,
    by_name: BTreeMap<Arc<str>, usize>,
    /// The newest events of its pipelines.
    pub(crate) rings: Rings,
}

/// What a subscription asked for. It stays the same when the points change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Point(String),
    /// All outputs of a pipeline.
    Outputs(String),
    /// The input of a pipeline, or of all.
    Input(Option<String>),
    /// The first points of a pipeline, or of all, whose events may be shown.
    First(Option<String>),
}

impl Wanted {
    /// The name in the request.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Point(name) | Self::Outputs(name) | Self::Input(Some(name)) | Self::First(Some(name)) => name,
            Self::Input(None) | Self::First(None) => "",
        }
    }
}

impl Layout {
    /// Without points yet.
    pub(crate) fn new(rings: Rings) -> Self {
        Self { rings, ..Self::default() }
    }

    /// Adds a point. A canary has the points of its pipeline, and a point is masked if it is in both versions.
    pub(crate) fn add(&mut self, point: PointInfo) {
        let known = self.by_name.get(&point.name).and_then(|&index| self.points.get_mut(index));
        match known {
            Some(known) => {
                known.is_masked &= point.is_masked;
                known.masks_ahead.extend(point.masks_ahead);
            }
            None => {
                self.by_name.insert(point.name.clone(), self.points.len());
                self.points.push(point);
            }
        }
    }

    /// Whether a pipeline has a node.
    pub(super) fn has_node(&self, pipeline: &str, node: &str) -> bool {
        self.points
            .iter()
            .any(|point| *point.pipeline == *pipeline && matches!(&point.place, Place::Node(own) if **own == *node))
    }

    pub(super) fn has_pipeline(&self, name: &str) -> bool {
        self.points.iter().any(|point| *point.pipeline == *name)
    }

    /// Reads the names of a request.
    pub(super) fn want(&self, names: &[String], is_trace: bool, is_filtered: bool) -> Result<Vec<Wanted>, TapError> {
        let whole = |name: Option<&String>| match (is_trace, is_filtered) {
            (false, _) => Wanted::Outputs(name.cloned().unwrap_or_default()),
            (true, false) => Wanted::Input(name.cloned()),
            (true, true) => Wanted::First(name.cloned()),
        };
        if is_trace && names.is_empty() {
            return Ok(vec![whole(None)]);
        }
        let read = |name: &String| {
            if self.by_name.contains_key(name.as_str()) {
                return Ok(Wanted::Point(name.clone()));
            }
            if self.has_pipeline(name) {
                return Ok(whole(Some(name)));
            }
            Err(self.unknown(name))
        };
        names.iter().map(read).collect()
    }

    fn unknown(&self, name: &str) -> TapError {
        let points = self.points.iter().map(|point| &*point.name);
        let pipelines = self.points.iter().filter(|point| point.place == Place::Input).map(|point| &*point.pipeline);
        let hint = match wattle_suggest::closest(name, points.chain(pipelines.clone())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the pipelines are {}", wattle_suggest::list(pipelines)),
        };
        TapError::Unknown { point: name.to_owned(), hint }
    }

    /// The points that are wanted, of those that exist.
    pub(super) fn resolve(&self, wanted: &Wanted, shared: &Shared) -> Vec<&PointInfo> {
        let of = |pipeline: &str, place: &Place| -> Vec<&PointInfo> {
            self.points.iter().filter(|point| *point.pipeline == *pipeline && point.place == *place).collect()
        };
        let pipelines = |name: &Option<String>| -> Vec<Arc<str>> {
            let inputs = self.points.iter().filter(|point| point.place == Place::Input);
            let own = inputs.map(|point| point.pipeline.clone());
            own.filter(|own| name.as_ref().is_none_or(|name| **own == **name)).collect()
        };
        match wanted {
            Wanted::Point(name) => {
                self.by_name.get(name.as_str()).and_then(|&index| self.points.get(index)).into_iter().collect()
            }
            Wanted::Outputs(pipeline) => of(pipeline, &Place::Output),
            Wanted::Input(name) => pipelines(name).iter().flat_map(|pipeline| of(pipeline, &Place::Input)).collect(),
            Wanted::First(name) => {
                pipelines(name).iter().flat_map(|pipeline| self.first_shown(pipeline, shared)).collect()
            }
        }
    }

    /// The points of the first place of a pipeline at which events may be shown.
    fn first_shown(&self, pipeline: &str, shared: &Shared) -> Vec<&PointInfo> {
        let own = self.points.iter().filter(|point| *point.pipeline == *pipeline);
        let shown: Vec<&PointInfo> = own.filter(|point| shared.shows(point.is_masked)).collect();
        let Some(first) = shown.first() else { return Vec::new() };
        shown.iter().copied().filter(|point| point.place == first.place).collect()
    }

    /// Why the events of what is wanted may not be shown.
    pub(super) fn hidden(&self, wanted: &Wanted) -> TapError {
        let named = |point: &&PointInfo| match wanted {
            Wanted::Point(name) => *point.name == **name,
            Wanted::Outputs(name) => *point.pipeline == **name && point.place == Place::Output,
            Wanted::Input(name) | Wanted::First(name) => name.as_ref().is_none_or(|name| *point.pipeline == **name),
        };
        let masks = self.points.iter().filter(named).flat_map(|point| point.masks_ahead.iter().cloned()).collect();
        TapError::Hidden { point: wanted.name().to_owned(), masks }
    }
}
