package wattle

import "strings"

// Event is one event of a batch.
type Event struct {
	batch   *Batch
	row     int
	columns map[Field]*Column
	written map[Field]*Writer
}

// Get returns the text of a field: strings unescaped, other values as JSON. It returns false if the event does not have
// the field.
func (e *Event) Get(field Field) (string, bool) {
	column := e.columns[field]
	if column == nil {
		read := e.batch.Read(field, Text)
		column = &read
		e.columns[field] = column
	}
	value := column.Row(e.row)
	// The bytes of an event may not be UTF-8.
	return strings.ToValidUTF8(string(value), "\uFFFD"), column.Kinds[e.row] != Missing
}

// Set sets a field to a string.
func (e *Event) Set(field Field, value string) {
	writer := e.written[field]
	if writer == nil {
		writer = NewWriter(0, e.batch.Rows())
		e.written[field] = writer
	}
	for writer.Rows() < e.row {
		writer.PushNone()
	}
	if writer.Rows() > e.row {
		// If set twice, the last value counts.
		column := &writer.column
		column.Bytes = column.Bytes[:column.Offsets[e.row]]
		column.Offsets, column.Kinds = column.Offsets[:e.row+1], column.Kinds[:e.row]
	}
	writer.Push(value)
}

// Emit makes other events, which leave on a port.
func (e *Event) Emit(port byte, events *Events) { emit(port, events) }

// Action is what to do with an event.
type Action struct {
	what          byte
	port          byte
	code, message string
}

const (
	keeps = iota
	leaves
	drops
	fails
	holds
)

// Keep sends the event to port 0.
var Keep = Action{what: keeps}

// Port sends the event to this port.
func Port(port byte) Action { return Action{what: leaves, port: port} }

// Drop drops the event on purpose. The agent counts it under this code.
func Drop(code string) Action { return Action{what: drops, code: code} }

// Fail sends the event unchanged to the port `failed`.
func Fail(code, message string) Action { return Action{what: fails, code: code, message: message} }

// Hold ends the event in the memory of the node, which must call state.Export.
var Hold = Action{what: holds}

// EachEvent returns a function that decides about one event at a time.
func EachEvent(decide func(event *Event) Action) Process {
	return func(batch *Batch) error {
		rows := batch.Rows()
		event := &Event{batch, 0, map[Field]*Column{}, map[Field]*Writer{}}
		ports, routed := make([]byte, rows), false
		dropped := map[string][]uint32{}
		var codes []string
		var held []uint32
		var reasons Reasons
		for row := range rows {
			event.row = row
			switch action := decide(event); action.what {
			case leaves:
				ports[row], routed = action.port, true
			case drops:
				if dropped[action.code] == nil {
					codes = append(codes, action.code)
				}
				dropped[action.code] = append(dropped[action.code], uint32(row))
			case fails:
				reasons.Add(row, action.code, action.message)
			case holds:
				held = append(held, uint32(row))
			}
		}
		for field, writer := range event.written {
			for writer.Rows() < rows {
				writer.PushNone()
			}
			batch.Set(field, Text, writer)
		}
		for _, code := range codes {
			batch.Drop(dropped[code], code)
		}
		batch.Hold(held)
		batch.Fail(&reasons)
		if routed {
			batch.Route(ports)
		}
		return nil
	}
}
