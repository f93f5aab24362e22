// Package wattle is for writing a Wattle node in Go.
//
// A node calls Export in an init function. It has one of two faces: EachEvent decides about one event at a time (simple),
// AllRows reads columns and decides about all rows of a batch at once (fast). The decisions are those of wit/batch.wit,
// where their rules stand.
package wattle

import "math"

// Node is what a node is, and how it is configured.
type Node struct {
	// Name in kebab-case.
	Name string
	// Version is a semantic version.
	Version string
	// Summary is one sentence.
	Summary string
	// OptionsSchema is the JSON schema of the options.
	OptionsSchema string
	// Masks says that the node hides data. The host never lets a row out unmasked that such a node could not process.
	Masks bool
	// Configure prepares the node. What is wrong with the options is reported to them.
	Configure func(options *Options) Process
}

// Process decides about a batch; an error fails all of its rows on purpose. Made with EachEvent or AllRows.
type Process func(batch *Batch) error

// AllRows is a node that decides about all rows at once.
func AllRows(process func(batch *Batch) error) Process { return process }

// Field is a field that was resolved, from Options.
type Field uint32

// Form is how the values of a column are written.
type Form uint32

const (
	// Text has strings without quotes and unescaped, every other value as its JSON.
	Text Form = iota
	// JSON has every value as its JSON.
	JSON
)

// Kind is what kind of value a row has.
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

// Leave is the time that leaves a row as it is.
const Leave = math.MinInt64

// Column has one value per row.
type Column struct {
	// Bytes has all values, one after the other.
	Bytes []byte
	// Offsets says where each value begins, and where the last one ends.
	Offsets []uint32
	// Kinds has the kind of each value, Missing where a row has none.
	Kinds []byte
}

// Row is the value of a row; nil if it has none.
func (c *Column) Row(row int) []byte {
	if c.Kinds[row] == Missing {
		return nil
	}
	// An empty value is no missing one.
	return c.Bytes[c.Offsets[row]:c.Offsets[row+1]:c.Offsets[row+1]]
}

// Writer makes a column.
type Writer struct {
	column Column
}

// NewWriter has room for this many bytes and rows.
func NewWriter(bytes, rows int) *Writer {
	offsets := make([]uint32, 1, rows+1)
	return &Writer{Column{make([]byte, 0, bytes), offsets, make([]byte, 0, rows)}}
}

// Push adds a row.
func (w *Writer) Push(value string) {
	w.column.Bytes = append(w.column.Bytes, value...)
	w.end(String)
}

// PushNone adds a row without a value: in Batch.Set it means that the row stays as it is.
func (w *Writer) PushNone() { w.end(Missing) }

// Rows is how many there are so far.
func (w *Writer) Rows() int { return len(w.column.Kinds) }

// Column is what was written so far.
func (w *Writer) Column() Column { return w.column }

func (w *Writer) end(kind Kind) {
	w.column.Offsets = append(w.column.Offsets, uint32(len(w.column.Bytes)))
	w.column.Kinds = append(w.column.Kinds, kind)
}

// Reasons are rows that fail, and why; rows near to each other share a reason that is the same.
type Reasons struct {
	rows, which []uint32
	reasons     []reason
}

type reason struct{ code, message string }

// Add adds a row with a code in kebab-case and a sentence for people.
func (r *Reasons) Add(row int, code, message string) {
	added, which := reason{code, message}, -1
	// Only the last few are compared: where all rows differ, a search of all would be quadratic.
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
