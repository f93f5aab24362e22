package wattle

import (
	"encoding/json"
	"time"
	"unsafe"

	"wattle/internal/abi"
)

// Options are the options of the node, and the calls to the host during configuration.
type Options struct {
	given  map[string]json.RawMessage
	known  map[string]bool
	ports  []string
	tick   time.Duration
	share  sharing
	paths  []string
	errors []optionError
}

// sharing is how workers share the state of a node, as in wit/node.wit.
type sharing uint32

const (
	byWorker sharing = iota
	single
	byKey
)

type optionError struct{ path, message string }

// Text returns a string option, or reports that it is missing.
func (o *Options) Text(name string) string {
	var value string
	o.read(name, &value, "a string")
	return value
}

// Integer returns an integer option.
func (o *Options) Integer(name string) int64 {
	var value int64
	o.read(name, &value, "a whole number")
	return value
}

// Bool returns a boolean option.
func (o *Options) Bool(name string) bool {
	var value bool
	o.read(name, &value, "true or false")
	return value
}

// Has reports whether an option is set. The SDK refuses options that the node never reads.
func (o *Options) Has(name string) bool {
	o.known[name] = true
	_, has := o.given[name]
	return has
}

func (o *Options) read(name string, value any, title string) {
	if !o.Has(name) {
		o.Error("", "missing option `"+name+"`")
	} else if json.Unmarshal(o.given[name], value) != nil || string(o.given[name]) == "null" {
		o.Error(name, "must be "+title)
	}
}

// Error reports an error in an option, "" for the options as a whole.
func (o *Options) Error(name, message string) {
	o.errors = append(o.errors, optionError{name, message})
}

// Ports names the output ports, port 0 first. Default: one port, `out`.
func (o *Options) Ports(names ...string) { o.ports = names }

// TickEvery asks for a tick at this interval, at least 10 ms; see the package timer.
func (o *Options) TickEvery(interval time.Duration) { o.tick = interval }

// ShareSingle makes all workers share one instance. By default, each has an instance of its own.
func (o *Options) ShareSingle() { o.share = single }

// ShareByKey makes the workers share a fixed number of instances, each for some of the keys, which are the texts of these
// fields.
func (o *Options) ShareByKey(paths ...string) { o.share, o.paths = byKey, paths }

// ReadField resolves a path to read; option names the option that contains the path, "" for none.
func (o *Options) ReadField(option, path string) Field { return o.resolve(option, path, 1) }

// WriteField resolves a path to set.
func (o *Options) WriteField(option, path string) Field { return o.resolve(option, path, 2) }

// ChangeField resolves a path to read and to change.
func (o *Options) ChangeField(option, path string) Field { return o.resolve(option, path, 3) }

func (o *Options) resolve(option, path string, access uint32) Field {
	if len(o.errors) > 0 && path == "" {
		return 0 // Options has already reported the option
	}
	var result struct {
		isError       uint32
		value, length uint32
	}
	hostResolve(path, access, unsafe.Pointer(&result))
	if result.isError&1 == 1 {
		o.Error(option, string(abi.Given[byte](result.value, result.length)))
	}
	return Field(result.value)
}
