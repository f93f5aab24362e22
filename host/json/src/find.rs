//! Finds the value at a path, or all values at a path with `[*]`.

use crate::elements::{walk_elements, walk_members};
use crate::scan::{kind_at, value, white};
use crate::text::same_key;
use crate::{Error, ErrorKind, Kind, Path, Segment, Value};

/// Returns the value at `path`, or `None` if the text has no such value. Does not read the text
/// after the value.
///
/// # Errors
///
/// The text is invalid before the value, or the path contains `[*]`.
pub fn find(text: &[u8], path: &Path) -> Result<Option<Value>, Error> {
    locate(text, path)?.map(|at| value(text, at)).transpose()
}

/// Returns where the value at `path` begins. This suffices for [`crate::elements_from`] and is
/// cheap for a large value.
///
/// # Errors
///
/// As [`find`].
pub fn locate(text: &[u8], path: &Path) -> Result<Option<usize>, Error> {
    descend(text, 0, path.segments())
}

/// Calls `found` with every value at `path` in order, and returns their number.
///
/// Elements of `[*]` without the rest of the path are skipped. Without `[*]` there is at most one
/// value.
///
/// # Errors
///
/// The text is invalid before the last value. The values before the error were visited.
pub fn each(text: &[u8], path: &Path, mut found: impl FnMut(Value)) -> Result<usize, Error> {
    let Some((before, after)) = path.around_each() else {
        return Ok(find(text, path)?.into_iter().map(found).count());
    };
    let Some(array) = descend(text, 0, before)? else {
        return Ok(0);
    };
    if kind_at(text, array)? != Kind::Array {
        return Ok(0);
    }
    let mut count = 0;
    walk_elements(text, array, |_, start| {
        let element = value(text, start)?;
        let place = if after.is_empty() { Some(element) } else { within(text, element, after)? };
        if let Some(place) = place {
            count += 1;
            found(place);
        }
        Ok(Some(element.end))
    })?;
    Ok(count)
}

/// Returns the value at `path` below an element. The search cannot leave the element, since its end
/// is known.
fn within(text: &[u8], element: Value, path: &[Segment]) -> Result<Option<Value>, Error> {
    let text = text.get(..element.end).unwrap_or(text);
    descend(text, element.start, path)?.map(|at| value(text, at)).transpose()
}

/// Follows the segments from the value at `at`, and returns where their value begins.
fn descend(text: &[u8], at: usize, path: &[Segment]) -> Result<Option<usize>, Error> {
    let mut at = white(text, at);
    // A text without any value is an error for every path.
    let mut kind = kind_at(text, at)?;
    for segment in path {
        let next = match (segment, kind) {
            (Segment::Key(key), Kind::Object) => member(text, at, key)?,
            (Segment::Index(index), Kind::Array) => element(text, at, *index)?,
            (Segment::Each, _) => return Err(Error::new(ErrorKind::ManyPlaces, at)),
            _ => None,
        };
        let Some(next) = next else {
            return Ok(None);
        };
        at = next;
        kind = kind_at(text, at)?;
    }
    Ok(Some(at))
}

/// Returns where the value of the member `wanted` begins, in the object at `at`.
fn member(text: &[u8], at: usize, wanted: &str) -> Result<Option<usize>, Error> {
    let mut place = None;
    walk_members(text, at, |key| {
        if same_key(key.inner(text), key.escaped, wanted) {
            place = Some(key.value);
            return Ok(None);
        }
        Ok(Some(value(text, key.value)?.end))
    })?;
    Ok(place)
}

/// Returns where the element number `wanted` begins, in the array at `at`.
fn element(text: &[u8], at: usize, wanted: usize) -> Result<Option<usize>, Error> {
    let mut place = None;
    walk_elements(text, at, |index, start| {
        if index == wanted {
            place = Some(start);
            return Ok(None);
        }
        Ok(Some(value(text, start)?.end))
    })?;
    Ok(place)
}

#[cfg(test)]
mod tests;
