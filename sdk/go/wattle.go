// Package wattle is the SDK for Wattle nodes in Go.
//
// A node calls Export in an init function. It uses EachEvent to decide about one event at a time (simple), or AllRows to
// read columns and decide about all rows of a batch at once (fast). wit/batch.wit has the rules of the decisions.
package wattle

import "math"

// Node describes and configures a node.
type Node struct {
	// Name in kebab-case.
	Name string
	// Version is a semantic version.
	Version string
	// Summary is one sentence.
	Summary string
	// OptionsSchema is the JSON schema of the options.
	OptionsSchema string
	// Masks is true for a node that hides data. If such a node cannot process a row, the host never lets the row leave unmasked.
	Masks bool
	// Configure prepares the node, and reports errors in the options with their method Error.
	Configure func(options *Options) Process
}

// Process decides about a batch; an error fails all of its rows on purpose. EachEvent and AllRows return one.
type Process func(batch *Batch) error

// AllRows returns a function that decides about all rows at once.
func AllRows(process func(batch *Batch) error) Process { return process }

// Field is a resolved field, from Options.
type Field uint32

// Form is the form of the values of a column.
type Form uint32

const (
	// Text: strings without quotes and unescaped, every other value as its JSON.
	Text Form = iota
	// JSON: every value as its JSON.
	JSON
)

// Kind is the kind of a row's value.
type Kind = byte

// The kinds of values.
const (
	Missing Kind = iota
	Null
	Boolean
	Number
	String
	Array
	Object
)

// Leave is the value that leaves the time of a row unchanged.
const Leave = math.MinInt64

// Column has one value per row.
type Column struct {
	// Bytes has all values, one after the other.
	Bytes []byte
	// Offsets has the start of each value, and the end of the last one.
	Offsets []uint32
	// Kinds has the kind of each value, Missing for a row without one.
	Kinds []byte
}

// Row returns the value of a row, or nil if the row has no value.
func (c *Column) Row(row int) []byte {
	if c.Kinds[row] == Missing {
		return nil
	}
	// An empty value is not a missing one.
	return c.Bytes[c.Offsets[row]:c.Offsets[row+1]:c.Offsets[row+1]]
}

// Writer builds a column.
type Writer struct {
	column Column
}

// NewWriter returns a writer with capacity for this many bytes and rows.
func NewWriter(bytes, rows int) *Writer {
	offsets := make([]uint32, 1, rows+1)
	return &Writer{Column{make([]byte, 0, bytes), offsets, make([]byte, 0, rows)}}
}

// Push adds a row.
func (w *Writer) Push(value string) {
	w.column.Bytes = append(w.column.Bytes, value...)
	w.end(String)
}

// PushNone adds a row without a value; Batch.Set leaves such a row unchanged.
func (w *Writer) PushNone() { w.end(Missing) }

// Rows returns the number of rows so far.
func (w *Writer) Rows() int { return len(w.column.Kinds) }

// Column returns the rows so far.
func (w *Writer) Column() Column { return w.column }

func (w *Writer) end(kind Kind) {
	w.column.Offsets = append(w.column.Offsets, uint32(len(w.column.Bytes)))
	w.column.Kinds = append(w.column.Kinds, kind)
}

// Reasons are rows that fail, with reasons. Neighbouring rows with the same reason share it.
type Reasons struct {
	rows, which []uint32
	reasons     []reason
}

type reason struct{ code, message string }

// Add adds a row with a code in kebab-case and a message for the operator.
func (r *Reasons) Add(row int, code, message string) {
	added, which := reason{code, message}, -1
	// Compare only the last few: if all rows differ, comparing all would be quadratic.
	for i := len(r.reasons) - 1; i >= 0 && i >= len(r.reasons)-16; i-- {
		if r.reasons[i] == added {
			which = i
			break
		}
	}
	if which < 0 {
		which = len(r.reasons)
		r.reasons = append(r.reasons, added)
	}
	r.rows = append(r.rows, uint32(row))
	r.which = append(r.which, uint32(which))
}
