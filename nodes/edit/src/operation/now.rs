//! `now`: the current time.

use super::{Compiler, Operation};
use crate::options::Now as Options;

#[cfg(feature = "clock")]
pub(super) fn compile(options: &Options, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    use crate::field::{Root, Shape};
    use crate::takes::Takes;

    let at = compiler.at("now");
    let target = compiler.plan.change(&at, &options.now, Shape::Each, compiler.setup)?;
    if target.is_whole() && target.root.is_object() {
        compiler.error(
            "now",
            format!("`{0}` as a whole takes an object; name a field below it, such as `{0}.time`", target.name),
        );
    }
    let takes_none = match target.takes {
        Takes::Id(_) | Takes::Number | Takes::Object | Takes::NoMember(_) => true,
        // A text can be a time, but no number.
        Takes::Text => options.unit.is_some(),
        Takes::Anything | Takes::Severity | Takes::Scope => false,
    };
    if takes_none {
        compiler.error("now", format!("`{}` takes {}, not a time", target.name, target.takes.wanted()));
    }
    if options.unit.is_some() && target.root == Root::Timestamp {
        compiler.error("unit", "a timestamp takes no number; remove `unit`");
    }
    // Called once now, so that a missing grant is an error of the options.
    wattle_node::capabilities::clock::now();
    Some(Box::new(clock::Now { target, unit: options.unit, on_error: options.on_error, text: Vec::new() }))
}

#[cfg(not(feature = "clock"))]
pub(super) fn compile(_: &Options, compiler: &mut Compiler<'_, '_>) -> Option<Box<dyn Operation>> {
    compiler
        .error("now", "this node was built without the capability `clock`; copy `timestamp`, or set the time later");
    None
}

#[cfg(feature = "clock")]
mod clock {
    use wattle_node::capabilities;

    use crate::field::Field;
    use crate::operation::{Operation, marked};
    use crate::options::{OnError, Unit};
    use crate::rows::Rows;
    use crate::time;

    pub(super) struct Now {
        pub(super) target: Field,
        pub(super) unit: Option<Unit>,
        pub(super) on_error: OnError,
        pub(super) text: Vec<u8>,
    }

    impl Operation for Now {
        fn run(&mut self, rows: &mut Rows, marks: &[bool]) {
            if !marks.contains(&true) {
                return;
            }
            let now = capabilities::clock::now();
            self.text.clear();
            let value = match self.unit {
                None => {
                    time::write(now, &mut self.text);
                    rows.documents.new_text(&self.text)
                }
                Some(unit) => {
                    let number = now.div_euclid(unit.nanoseconds());
                    rows.documents.new_json(number.to_string().as_bytes())
                }
            };
            for row in marked(marks) {
                if self.on_error == OnError::Keep && rows.check(&self.target, value).is_err() {
                    continue;
                }
                if let Err(problem) = rows.put(row, &self.target, value)
                    && self.on_error == OnError::Fail
                {
                    rows.fail(row, problem, &self.target.name);
                }
            }
        }
    }
}
