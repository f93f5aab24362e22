package wattle

// The functions of the contract as WebAssembly imports. A list or a string is an address and a length, of 32 bits each; a
// result of more than one number is written to an address that the caller passes.

import (
	"runtime"
	"unsafe"

	"wattle/internal/abi"
)

//go:wasmimport wattle:node/fields@0.2.0 resolve
func hostResolve(path string, access uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/batch@0.2.0 rows
func hostRows() uint32

//go:wasmimport wattle:node/batch@0.2.0 redelivered
func hostRedelivered() uint32

//go:wasmimport wattle:node/batch@0.2.0 read
func hostRead(field, form uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/batch@0.2.0 check-json
func hostCheckJSON(field uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/batch@0.2.0 replace
func hostReplace(field, form uint32, starts unsafe.Pointer, startsLen uint32, ends unsafe.Pointer, endsLen uint32, bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32)

//go:wasmimport wattle:node/batch@0.2.0 set
func hostSet(field, form uint32, bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32)

//go:wasmimport wattle:node/batch@0.2.0 set-json-from
func hostSetJSONFrom(target, source uint32, rows unsafe.Pointer, rowsLen uint32)

//go:wasmimport wattle:node/batch@0.2.0 set-timestamp
func hostSetTimestamp(nanoseconds unsafe.Pointer, length uint32)

//go:wasmimport wattle:node/batch@0.2.0 split
func hostSplit(field, form uint32, parents unsafe.Pointer, parentsLen uint32, starts unsafe.Pointer, startsLen uint32, ends unsafe.Pointer, endsLen uint32, prefix, suffix string)

//go:wasmimport wattle:node/batch@0.2.0 split-into
func hostSplitInto(parents unsafe.Pointer, parentsLen uint32, bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32)

//go:wasmimport wattle:node/batch@0.2.0 combine
func hostCombine(rows unsafe.Pointer, rowsLen uint32, groups unsafe.Pointer, groupsLen uint32, bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32)

//go:wasmimport wattle:node/batch@0.2.0 hold
func hostHold(rows unsafe.Pointer, length uint32)

//go:wasmimport wattle:node/batch@0.2.0 drop
func hostDrop(rows unsafe.Pointer, rowsLen uint32, code string)

//go:wasmimport wattle:node/batch@0.2.0 route
func hostRoute(ports unsafe.Pointer, length uint32)

//go:wasmimport wattle:node/batch@0.2.0 copy-to
func hostCopyTo(port uint32, rows unsafe.Pointer, length uint32)

//go:wasmimport wattle:node/batch@0.2.0 fail
func hostFail(rows unsafe.Pointer, rowsLen uint32, which unsafe.Pointer, whichLen uint32, reasons unsafe.Pointer, reasonsLen uint32)

//go:wasmimport wattle:node/batch@0.2.0 count
func hostCount(name string, value uint64)

// Batch is the batch of the current call.
type Batch struct{}

// Rows returns the number of rows.
func (*Batch) Rows() int { return int(hostRows()) }

// Redelivered reports whether the source offered the batch before.
func (*Batch) Redelivered() bool { return hostRedelivered()&1 == 1 }

// Read returns the field of every row. It is valid only during the call.
func (*Batch) Read(field Field, form Form) Column {
	var result [6]uint32
	hostRead(uint32(field), uint32(form), unsafe.Pointer(&result))
	return columnFrom(result[:])
}

// CheckJSON returns the JSON kind of each row's text, Missing if it is not valid JSON.
func (*Batch) CheckJSON(field Field) []Kind {
	var result [2]uint32
	hostCheckJSON(uint32(field), unsafe.Pointer(&result))
	return abi.Given[byte](result[0], result[1])
}

// Replace replaces each span of a field by its text, or all spans by a single text.
func (*Batch) Replace(field Field, form Form, starts, ends []uint32, texts *Writer) {
	s, sn := abi.Taken(starts)
	e, en := abi.Taken(ends)
	b, bn, o, on, k, kn := columnTaken(texts.column)
	hostReplace(uint32(field), uint32(form), s, sn, e, en, b, bn, o, on, k, kn)
}

// Set sets a field of the rows that have a value.
func (b *Batch) Set(field Field, form Form, values *Writer) {
	b.SetColumn(field, form, values.column)
}

// SetColumn sets a field like Set, from a column that the node read or looked up.
func (*Batch) SetColumn(field Field, form Form, values Column) {
	b, bn, o, on, k, kn := columnTaken(values)
	hostSet(uint32(field), uint32(form), b, bn, o, on, k, kn)
}

// SetJSONFrom sets target to the JSON in the text of source, for marked rows.
func (*Batch) SetJSONFrom(target, source Field, rows []byte) {
	r, rn := abi.Taken(rows)
	hostSetJSONFrom(uint32(target), uint32(source), r, rn)
}

// SetTimestamp sets the time of each row in nanoseconds since 1970; Leave leaves a row unchanged.
func (*Batch) SetTimestamp(nanoseconds []int64) {
	n, nn := abi.Taken(nanoseconds)
	hostSetTimestamp(n, nn)
}

// Split splits rows: each child is prefix, its span of the column, suffix.
func (*Batch) Split(field Field, form Form, parents, starts, ends []uint32, prefix, suffix string) {
	p, pn := abi.Taken(parents)
	s, sn := abi.Taken(starts)
	e, en := abi.Taken(ends)
	hostSplit(uint32(field), uint32(form), p, pn, s, sn, e, en, prefix, suffix)
}

// SplitInto splits rows into bodies that the node provides.
func (*Batch) SplitInto(parents []uint32, bodies *Writer) {
	p, pn := abi.Taken(parents)
	b, bn, o, on, k, kn := columnTaken(bodies.column)
	hostSplitInto(p, pn, b, bn, o, on, k, kn)
}

// Combine makes one event of each group of rows: group i is rows[offsets[i]:offsets[i+1]], and its body is row i of bodies.
// Everything else comes from the first row of a group.
func (*Batch) Combine(rows, offsets []uint32, bodies *Writer) {
	r, rn := abi.Taken(rows)
	if rn == 0 {
		return
	}
	g, gn := abi.Taken(offsets)
	b, bn, o, on, k, kn := columnTaken(bodies.column)
	hostCombine(r, rn, g, gn, b, bn, o, on, k, kn)
}

// Hold ends rows in the memory of the node, which must call state.Export.
func (*Batch) Hold(rows []uint32) {
	if r, rn := abi.Taken(rows); rn > 0 {
		hostHold(r, rn)
	}
}

// Emit makes events that have no parent. They leave on a port after the rows of the batch.
func (*Batch) Emit(port byte, events *Events) { emit(port, events) }

// Drop drops rows on purpose. The agent counts them under this code.
func (*Batch) Drop(rows []uint32, code string) {
	if r, rn := abi.Taken(rows); rn > 0 {
		hostDrop(r, rn, code)
	}
}

// Route sends each row or, after a split, each child to a port.
func (*Batch) Route(ports []byte) {
	p, pn := abi.Taken(ports)
	hostRoute(p, pn)
}

// CopyTo sends copies of rows to an additional port.
func (*Batch) CopyTo(port byte, rows []uint32) {
	if r, rn := abi.Taken(rows); rn > 0 {
		hostCopyTo(uint32(port), r, rn)
	}
}

// Fail fails the collected rows.
func (*Batch) Fail(reasons *Reasons) {
	r, rn := abi.Taken(reasons.rows)
	if rn == 0 {
		return
	}
	w, wn := abi.Taken(reasons.which)
	var texts []uint32
	for _, reason := range reasons.reasons {
		texts = append(texts, abi.Address(reason.code)...)
		texts = append(texts, abi.Address(reason.message)...)
	}
	t, _ := abi.Taken(texts)
	hostFail(r, rn, w, wn, t, uint32(len(reasons.reasons)))
	runtime.KeepAlive(reasons)
}

// Count adds to a count that the agent shows under this name in its summary, metrics and status.
func (*Batch) Count(name string, value uint64) { count(name, value) }

func count(name string, value uint64) {
	if value > 0 {
		hostCount(name, value)
	}
}

func columnTaken(c Column) (unsafe.Pointer, uint32, unsafe.Pointer, uint32, unsafe.Pointer, uint32) {
	b, bn := abi.Taken(c.Bytes)
	o, on := abi.Taken(c.Offsets)
	k, kn := abi.Taken(c.Kinds)
	return b, bn, o, on, k, kn
}
