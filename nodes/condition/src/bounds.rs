//! Bounds of numbers between which there is no number.

use std::cmp::Ordering;

use crate::literal::Number;
use crate::options::Condition;

/// The option that is to be changed and why, if no number can be within the bounds of a condition.
pub(crate) fn check(condition: &Condition) -> Option<(&'static str, String)> {
    let lower = [("gt", &condition.gt, true), ("ge", &condition.ge, false)];
    let upper = [("lt", &condition.lt, true), ("le", &condition.le, false)];
    for (from, lower, is_above) in lower {
        for (to, upper, is_below) in upper {
            let (Some(lower), Some(upper)) = (lower, upper) else { continue };
            let order = Number::of(lower).order_of(upper.to_string().as_bytes())?;
            if order == Ordering::Less || (order == Ordering::Equal && (is_above || is_below)) {
                let message = format!(
                    "`{from}` is {lower} and `{to}` is {upper}, so no number fits; for numbers outside of a range, write \
                     two conditions in `any`"
                );
                return Some((from, message));
            }
        }
    }
    None
}
