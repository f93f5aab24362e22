package wattle

// Events that a node makes, in a batch or in a tick.

import (
	"math"
	"unsafe"

	"wattle/internal/abi"
)

//go:wasmimport wattle:node/events@0.2.0 emit
func hostEmit(port, kind uint32, bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32, attributeBytes unsafe.Pointer, attributeBytesLen uint32, attributeOffsets unsafe.Pointer, attributeOffsetsLen uint32, attributeKinds unsafe.Pointer, attributeKindsLen uint32, times unsafe.Pointer, timesLen uint32)

// EventKind is what kind of telemetry an event is.
type EventKind uint32

// The kinds of events.
const (
	LogEvent EventKind = iota
	// MetricEvent is one data point; wit/types.wit has the shape of its body.
	MetricEvent
	SpanEvent
)

// NoTime is the time of an event that has none.
const NoTime = math.MinInt64

// Events are events of one kind, for one port.
type Events struct {
	kind               EventKind
	bodies, attributes Writer
	times              []int64
}

// NewEvents returns an empty collection.
func NewEvents(kind EventKind) *Events {
	return &Events{kind: kind, bodies: *NewWriter(0, 0), attributes: *NewWriter(0, 0)}
}

// Push adds an event. attributes is a JSON object, or "" for none; time is in nanoseconds since 1970. Give each event an
// attribute `id` that depends only on what the event is about: after a crash, the node can make it again.
func (e *Events) Push(body, attributes string, time int64) {
	e.bodies.Push(body)
	if attributes == "" {
		e.attributes.PushNone()
	} else {
		e.attributes.Push(attributes)
	}
	e.times = append(e.times, time)
}

// Len returns the number of events.
func (e *Events) Len() int { return len(e.times) }

// Tick is a call of the timer of a node; see the package timer.
type Tick struct {
	// Now is the time in nanoseconds since 1970; it never decreases.
	Now int64
	// Last is true if the node must make all events that it still owes: the run ends with its input, or the state is larger
	// than the node may save. The host saves the state afterwards, and more batches can follow.
	Last bool
}

// Emit makes events, which leave on a port.
func (*Tick) Emit(port byte, events *Events) { emit(port, events) }

// Count adds to a count that the agent shows under this name in its summary, metrics and status.
func (*Tick) Count(name string, value uint64) { count(name, value) }

func emit(port byte, events *Events) {
	t, tn := abi.Taken(events.times)
	if tn == 0 {
		return
	}
	b, bn, o, on, k, kn := columnTaken(events.bodies.column)
	ab, abn, ao, aon, ak, akn := columnTaken(events.attributes.column)
	hostEmit(uint32(port), uint32(events.kind), b, bn, o, on, k, kn, ab, abn, ao, aon, ak, akn, t, tn)
}
