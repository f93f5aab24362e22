//! The format `xml`: elements become objects, as Vector's `parse_xml` makes them.

mod tree;

use std::collections::BTreeMap;

use memchr::memchr;
use quick_xml::events::attributes::AttrError;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Error, Reader};
use wattle_node::Setup;

use self::tree::{Style, Tree};
use super::{Fault, Read};
use crate::options::{Namespaces, Options, Xml as XmlOptions};
use crate::pairs::Types;
use crate::scan::without_line_end;

/// Maximum of `max_depth`: an element is up to two levels of JSON, and the host accepts 512 levels.
const MAX_DEPTH: usize = 128;

/// Names and limits, and memory for one event.
pub(crate) struct Xml {
    names: Names,
    trims: bool,
    max_depth: usize,
    max_elements: usize,
    style: Style,
    tree: Tree,
}

/// How names become keys.
struct Names {
    attr_prefix: Vec<u8>,
    includes_attr: bool,
    drops_namespaces: bool,
    text_key: Vec<u8>,
    /// Names of elements, and the attributes with their keys.
    keys_from: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Xml {
    pub(super) fn new(options: &Options, setup: &mut Setup<'_>) -> Self {
        let xml = options.xml.clone().unwrap_or_default();
        check(&xml, setup);
        let bytes = |text: &String| text.as_bytes().to_vec();
        let names = Names {
            attr_prefix: bytes(&xml.attr_prefix),
            includes_attr: xml.include_attr,
            drops_namespaces: xml.namespaces == Namespaces::Drop,
            text_key: bytes(&xml.text_key),
            keys_from: xml.keys_from.iter().map(|(element, attribute)| (bytes(element), bytes(attribute))).collect(),
        };
        Self {
            names,
            trims: xml.trim,
            max_depth: xml.max_depth,
            max_elements: xml.max_elements,
            style: Style::new(&xml, Types::new(options.types.clone())),
            tree: Tree::default(),
        }
    }
}

fn check(xml: &XmlOptions, setup: &mut Setup<'_>) {
    if !(1..=MAX_DEPTH).contains(&xml.max_depth) {
        setup.error("xml.max_depth", format!("the depth is a number from 1 to {MAX_DEPTH}"));
    }
    if xml.max_elements == 0 {
        setup.error("xml.max_elements", "at least one element is needed");
    }
    for (element, attribute) in &xml.keys_from {
        if element.is_empty() || attribute.is_empty() {
            setup.error("xml.keys_from", "an element and an attribute have names; write `{ Data = \"Name\" }`");
        }
    }
}

impl Read for Xml {
    fn read(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let text = without_line_end(text);
        let start = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        self.tree.clear();
        let mut document = Document {
            names: &self.names,
            max_elements: self.max_elements,
            tree: &mut self.tree,
            start,
            has_root: false,
        };
        document.read(text.get(start..).unwrap_or_default(), self.max_depth, self.trims)?;
        self.tree.write(&self.style, out)
    }
}

/// The document that is being read.
struct Document<'a> {
    names: &'a Names,
    max_elements: usize,
    tree: &'a mut Tree,
    /// Bytes before the document.
    start: usize,
    has_root: bool,
}

impl Document<'_> {
    fn read(&mut self, text: &[u8], max_depth: usize, trims: bool) -> Result<(), Fault> {
        let mut reader = Reader::from_reader(text);
        // The texts between two tags, with references and CDATA sections, are one text.
        let mut run = Run::default();
        loop {
            let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let event = match reader.read_event() {
                Ok(event) => event,
                Err(error) => {
                    let at = usize::try_from(reader.error_position()).unwrap_or(usize::MAX);
                    return self.fault(at, reason(&error));
                }
            };
            if matches!(event, Event::Start(_) | Event::Empty(_) | Event::End(_)) {
                self.end_run(&mut run, trims);
            }
            let is_inside = self.tree.depth() > 0;
            match event {
                Event::Start(tag) => {
                    self.open(at, &tag, max_depth)?;
                }
                Event::Empty(tag) => {
                    self.open(at, &tag, max_depth)?;
                    self.tree.close();
                }
                // The reader has compared the name.
                Event::End(_) => self.tree.close(),
                Event::Text(content) => {
                    if !is_inside && !content.iter().all(u8::is_ascii_whitespace) {
                        return self.fault(at, "a text is outside of the root element");
                    }
                    if is_inside {
                        self.tree.add_text(|out| put_text(&content, out));
                        run.is_open = true;
                        run.is_significant |= !content.iter().all(u8::is_ascii_whitespace);
                    }
                }
                Event::CData(content) => {
                    if !is_inside {
                        return self.fault(at, "a text is outside of the root element");
                    }
                    self.tree.add_text(|out| put_text(&content, out));
                    run = Run { is_open: true, is_significant: true };
                }
                Event::GeneralRef(name) => {
                    let Some(character) = resolve(&name).filter(|_| is_inside) else {
                        return self.fault(at, "an entity is unknown, or outside of the root element");
                    };
                    self.tree.add_text(|out| put_char(character, out));
                    run = Run { is_open: true, is_significant: true };
                }
                Event::DocType(_) => {
                    let message = format!("has a document type at byte {}, which is not accepted", self.start + at);
                    return Err(Fault { code: "xml-doctype", message });
                }
                Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
                Event::Eof => {
                    return match (is_inside, self.has_root) {
                        (true, _) => self.fault(text.len(), "an element has no end tag"),
                        (false, false) => self.fault(text.len(), "there is no element"),
                        (false, true) => Ok(()),
                    };
                }
            }
        }
    }

    /// Ends the text before a tag.
    fn end_run(&mut self, run: &mut Run, trims: bool) {
        let run = std::mem::take(run);
        if run.is_open {
            self.tree.end_text(&self.names.text_key, run.is_significant || !trims);
        }
    }

    /// Begins an element, with its attributes.
    fn open(&mut self, at: usize, tag: &BytesStart<'_>, max_depth: usize) -> Result<(), Fault> {
        if self.tree.depth() == 0 && std::mem::replace(&mut self.has_root, true) {
            return self.fault(at, "an element follows the root element");
        }
        if self.tree.depth() >= max_depth {
            return self.limit(at, &format!("is deeper than {max_depth} elements"));
        }
        let names = self.names;
        let name = tag.name().into_inner();
        if !is_name(name) {
            return self.fault(at, "an element has no valid name");
        }
        let key = names.local(name);
        let element = self.tree.open(key);
        let key_attribute = names.keys_from.get(key);
        // Positions in a tag count from behind its bracket.
        let content = at + 1;
        for attribute in tag.attributes() {
            let attribute = match attribute {
                Ok(attribute) => attribute,
                Err(error) => {
                    let (offset, reason) = attribute_fault(&error);
                    return self.fault(content + offset, reason);
                }
            };
            let name = attribute.key.into_inner();
            if !is_name(name) || memchr(b'<', &attribute.value).is_some() {
                return self.fault(at, "an attribute has no valid name or value");
            }
            if names.drops_namespaces && (name == b"xmlns" || name.starts_with(b"xmlns:")) {
                continue;
            }
            let name = names.local(name);
            let is_key = key_attribute.is_some_and(|wanted| wanted == name);
            if !is_key && !names.includes_attr {
                continue;
            }
            let value = &*attribute.value;
            let done = match is_key {
                true => self.tree.rename(element, |out| put_attribute(value, out)),
                false => self.tree.attribute(&names.attr_prefix, name, |out| put_attribute(value, out)),
            };
            if done.is_none() {
                return self.fault(at, "an attribute has an unknown entity");
            }
        }
        // Attributes and texts count too: they take the same memory.
        if self.tree.len() > self.max_elements {
            return self.limit(at, &format!("has more than {} elements, attributes and texts", self.max_elements));
        }
        Ok(())
    }

    fn fault<T>(&self, at: usize, reason: &str) -> Result<T, Fault> {
        let message = format!("is not XML: {reason} at byte {}", self.start.saturating_add(at));
        Err(Fault { code: "not-xml", message })
    }

    fn limit<T>(&self, at: usize, what: &str) -> Result<T, Fault> {
        Err(Fault { code: "xml-limit", message: format!("{what} at byte {}", self.start.saturating_add(at)) })
    }
}

/// The text between two tags.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    is_open: bool,
    /// Whether it is more than white space, or written as CDATA or reference.
    is_significant: bool,
}

impl Names {
    /// The name as it is kept.
    fn local<'a>(&self, name: &'a [u8]) -> &'a [u8] {
        match memchr(b':', name).filter(|_| self.drops_namespaces) {
            Some(colon) => name.get(colon + 1..).filter(|local| !local.is_empty()).unwrap_or(name),
            None => name,
        }
    }
}

/// Whether a name can be that of an element or an attribute. Characters that are not ASCII are not checked further.
fn is_name(name: &[u8]) -> bool {
    let is_first = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':' | 0x80..);
    let is_other = |byte: &u8| is_first(byte) || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    name.first().is_some_and(is_first) && name.iter().all(is_other)
}

/// Appends a text; the line ends `\r\n` and `\r` become `\n`, as XML demands.
fn put_text(text: &[u8], out: &mut Vec<u8>) {
    if memchr(b'\r', text).is_none() {
        return crate::object::put(text, out);
    }
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte == b'\r' {
            bytes.next_if_eq(&b'\n');
            out.push(b'\n');
        } else {
            out.push(byte);
        }
    }
}

/// Appends the value of an attribute: references resolved, and line ends and tabs as spaces. `None` after an unknown
/// entity.
fn put_attribute(mut value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    while let Some(reference) = memchr(b'&', value) {
        put_spaced(value.get(..reference)?, out);
        let rest = value.get(reference + 1..)?;
        let end = memchr(b';', rest)?;
        put_char(resolve(rest.get(..end)?)?, out);
        value = rest.get(end + 1..)?;
    }
    put_spaced(value, out);
    Some(())
}

fn put_spaced(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    put_text(text, out);
    for byte in out.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\t')) {
        *byte = b' ';
    }
}

fn put_char(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// The character of a reference such as `amp` or `#x41`. A document cannot define others: it has no document type.
fn resolve(name: &[u8]) -> Option<char> {
    Some(match name {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"quot" => '"',
        b"apos" => '\'',
        [b'#', number @ ..] => {
            let (digits, radix) = match number {
                [b'x', digits @ ..] => (digits, 16),
                digits => (digits, 10),
            };
            // The parser of numbers accepts a sign.
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|&character| character != '\0')?
        }
        _ => return None,
    })
}

/// What is wrong, without the names that the document contains.
const fn reason(error: &Error) -> &'static str {
    use quick_xml::errors::{IllFormedError, SyntaxError};
    match error {
        Error::Syntax(SyntaxError::UnclosedTag) => "a tag has no end",
        Error::Syntax(
            SyntaxError::UnclosedSingleQuotedAttributeValue | SyntaxError::UnclosedDoubleQuotedAttributeValue,
        ) => "a value in quotes has no end",
        Error::Syntax(SyntaxError::UnclosedComment) => "a comment has no end",
        Error::Syntax(SyntaxError::UnclosedCData) => "a CDATA section has no end",
        Error::Syntax(SyntaxError::UnclosedPI | SyntaxError::UnclosedXmlDecl) => "a processing instruction has no end",
        Error::Syntax(SyntaxError::UnclosedDoctype) => "a document type has no end",
        Error::IllFormed(IllFormedError::MismatchedEndTag { .. } | IllFormedError::UnmatchedEndTag(_)) => {
            "an end tag does not match its start tag"
        }
        Error::IllFormed(IllFormedError::UnclosedReference) => "an entity has no semicolon",
        _ => "invalid markup",
    }
}

/// Where an attribute is wrong, from behind the bracket of its tag, and what is wrong.
const fn attribute_fault(error: &AttrError) -> (usize, &'static str) {
    match error {
        AttrError::ExpectedEq(at) => (*at, "an attribute has no `=`"),
        AttrError::ExpectedValue(at) => (*at, "an attribute has no value"),
        AttrError::UnquotedValue(at) => (*at, "the value of an attribute is not in quotes"),
        AttrError::ExpectedQuote(at, _) => (*at, "the value of an attribute has no closing quote"),
        AttrError::Duplicated(at, _) => (*at, "an attribute occurs twice"),
    }
}
