package wattle

// Capabilities: the operator grants them with [pipelines.NAME.grants]. A component requests the capabilities whose
// functions it calls. wit/log.wit, metrics.wit, clock.wit, random.wit, host.wit, lookup.wit, kv.wit, seen.wit and
// http-client.wit have the rules.

import (
	"errors"
	"runtime"
	"time"
	"unsafe"

	"wattle/internal/abi"
)

//go:wasmimport wattle:node/log@0.2.0 write
func hostLog(level uint32, message string)

//go:wasmimport wattle:node/metrics@0.2.0 counter
func hostCounter(name string, labels unsafe.Pointer, labelsLen uint32) uint32

//go:wasmimport wattle:node/metrics@0.2.0 gauge
func hostGauge(name string, labels unsafe.Pointer, labelsLen uint32) uint32

//go:wasmimport wattle:node/metrics@0.2.0 histogram
func hostHistogram(name string, labels unsafe.Pointer, labelsLen uint32, bounds unsafe.Pointer, boundsLen uint32) uint32

//go:wasmimport wattle:node/metrics@0.2.0 add
func hostMetricAdd(metric uint32, amount uint64)

//go:wasmimport wattle:node/metrics@0.2.0 set
func hostMetricSet(metric uint32, value float64)

//go:wasmimport wattle:node/metrics@0.2.0 observe
func hostMetricObserve(metric uint32, values unsafe.Pointer, length uint32)

//go:wasmimport wattle:node/clock@0.2.0 now
func hostNow() int64

//go:wasmimport wattle:node/clock@0.2.0 monotonic
func hostMonotonic() uint64

//go:wasmimport wattle:node/random@0.2.0 bytes
func hostRandom(count uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/host@0.2.0 fact
func hostFact(name string, result unsafe.Pointer)

//go:wasmimport wattle:node/lookup@0.2.0 open
func hostLookupOpen(table string, columns unsafe.Pointer, columnsLen uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/lookup@0.2.0 find
func hostLookupFind(table uint32, bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/kv@0.2.0 get
func hostKvGet(bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/kv@0.2.0 set
func hostKvSet(bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32, valueBytes unsafe.Pointer, valueBytesLen uint32, valueOffsets unsafe.Pointer, valueOffsetsLen uint32, valueKinds unsafe.Pointer, valueKindsLen uint32, expires uint32, ttl uint64, result unsafe.Pointer)

//go:wasmimport wattle:node/kv@0.2.0 add
func hostKvAdd(bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32, amounts unsafe.Pointer, amountsLen uint32, result unsafe.Pointer)

//go:wasmimport wattle:node/kv@0.2.0 delete
func hostKvDelete(bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32)

//go:wasmimport wattle:node/seen@0.2.0 claim
func hostSeenClaim(bytes unsafe.Pointer, bytesLen uint32, offsets unsafe.Pointer, offsetsLen uint32, kinds unsafe.Pointer, kindsLen uint32, ttl uint64, result unsafe.Pointer)

//go:wasmimport wattle:node/http-client@0.2.0 send
func hostHTTPSend(requests unsafe.Pointer, length uint32, result unsafe.Pointer)

// Level is the severity of a log line.
type Level uint32

// The levels of lines.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Log writes a line to the agent's log.
func Log(level Level, message string) { hostLog(uint32(level), message) }

// Label is a label of a metric, or a header of a request.
type Label struct{ Name, Value string }

// Metric is a counter, a gauge or a histogram of the node.
type Metric uint32

// Counter is a metric that only grows.
func Counter(name string, labels ...Label) Metric {
	l, n := labelsOf(labels)
	return Metric(hostCounter(name, l, n))
}

// Gauge is a metric that holds the last value.
func Gauge(name string, labels ...Label) Metric {
	l, n := labelsOf(labels)
	return Metric(hostGauge(name, l, n))
}

// Histogram is a metric that counts values in buckets with these upper bounds.
func Histogram(name string, bounds []float64, labels ...Label) Metric {
	l, n := labelsOf(labels)
	b, bn := abi.Taken(bounds)
	return Metric(hostHistogram(name, l, n, b, bn))
}

// Add adds to a counter.
func (m Metric) Add(amount uint64) { hostMetricAdd(uint32(m), amount) }

// Set sets a gauge.
func (m Metric) Set(value float64) { hostMetricSet(uint32(m), value) }

// Observe adds values to a histogram.
func (m Metric) Observe(values []float64) {
	v, n := abi.Taken(values)
	hostMetricObserve(uint32(m), v, n)
}

// Now returns the time in nanoseconds since 1970. The clock of Go does not advance in a node.
func Now() int64 { return hostNow() }

// Monotonic returns nanoseconds since an arbitrary moment; it never goes backwards.
func Monotonic() uint64 { return hostMonotonic() }

// Random returns bytes from the random number generator of the operating system.
func Random(count int) []byte {
	var result [2]uint32
	hostRandom(uint32(count), unsafe.Pointer(&result))
	return abi.Given[byte](result[0], result[1])
}

// Fact returns a fact about the machine or the agent, such as `host.name`, or false if the machine does not have it.
func Fact(name string) (string, bool) {
	var result [3]uint32
	hostFact(name, unsafe.Pointer(&result))
	if result[0]&0xff == 0 {
		return "", false
	}
	return textFrom(result[1:]), true
}

// Table is a handle for columns of a table, from Options.
type Table uint32

// Table opens columns of a table by the name in the grant, and reports a table without a grant as an error.
func (o *Options) Table(option, table string, columns ...string) Table {
	var list []uint32
	for _, column := range columns {
		list = append(list, abi.Address(column)...)
	}
	l, _ := abi.Taken(list)
	var result [3]uint32
	hostLookupOpen(table, l, uint32(len(columns)), unsafe.Pointer(&result))
	runtime.KeepAlive(columns)
	if result[0]&0xff != 0 {
		o.Error(option, string(abi.Given[byte](result[1], result[2])))
		return 0
	}
	return Table(result[1])
}

// Find finds a row for each key, and returns one column for each opened column.
func (t Table) Find(keys Column) []Column {
	b, bn, o, on, k, kn := columnTaken(keys)
	var result [2]uint32
	hostLookupFind(uint32(t), b, bn, o, on, k, kn, unsafe.Pointer(&result))
	columns := make([]Column, 0, result[1])
	for words := abi.Given[uint32](result[0], 6*result[1]); len(words) > 0; words = words[6:] {
		columns = append(columns, columnFrom(words))
	}
	return columns
}

// KvGet returns the value of each key, Missing for a key without a value.
func KvGet(keys Column) Column {
	b, bn, o, on, k, kn := columnTaken(keys)
	var result [6]uint32
	hostKvGet(b, bn, o, on, k, kn, unsafe.Pointer(&result))
	return columnFrom(result[:])
}

// Forever is the time to live of a value that does not expire.
const Forever time.Duration = 0

// KvSet sets the value of each key for this time to live, or Forever. After an error, nothing is set.
func KvSet(keys, values Column, ttl time.Duration) error {
	b, bn, o, on, k, kn := columnTaken(keys)
	vb, vbn, vo, von, vk, vkn := columnTaken(values)
	expires := uint32(0)
	if ttl != Forever {
		expires = 1
	}
	var result [3]uint32
	hostKvSet(b, bn, o, on, k, kn, vb, vbn, vo, von, vk, vkn, expires, uint64(ttl.Milliseconds()), unsafe.Pointer(&result))
	return errorFrom(result)
}

// KvAdd adds to the number of each key, and returns the sums. After an error, nothing has changed.
func KvAdd(keys Column, amounts []int64) ([]int64, error) {
	b, bn, o, on, k, kn := columnTaken(keys)
	a, an := abi.Taken(amounts)
	var result [3]uint32
	hostKvAdd(b, bn, o, on, k, kn, a, an, unsafe.Pointer(&result))
	if err := errorFrom(result); err != nil {
		return nil, err
	}
	return abi.Given[int64](result[1], result[2]), nil
}

// KvDelete removes keys.
func KvDelete(keys Column) {
	b, bn, o, on, k, kn := columnTaken(keys)
	hostKvDelete(b, bn, o, on, k, kn)
}

// SeenClaim claims a key for each row of the batch, for this time to live. It returns 1 for a row whose key is new, and 0
// for a row whose key was claimed before.
func SeenClaim(keys Column, ttl time.Duration) []byte {
	b, bn, o, on, k, kn := columnTaken(keys)
	var result [2]uint32
	hostSeenClaim(b, bn, o, on, k, kn, uint64(ttl.Milliseconds()), unsafe.Pointer(&result))
	return abi.Given[byte](result[0], result[1])
}

// Request is an HTTP request to a granted host.
type Request struct {
	Method, URL string
	Headers     []Label
	Body        []byte
}

// Response is a response, or a failure if Code is not empty.
type Response struct {
	Status        int
	Headers       []Label
	Body          []byte
	Code, Message string
}

// Send sends requests in parallel, and returns the responses in their order.
func Send(requests []Request) []Response {
	var list []uint32
	var kept []unsafe.Pointer
	for _, request := range requests {
		headers, count := labelsOf(request.Headers)
		kept = append(kept, headers)
		list = append(append(list, abi.Address(request.Method)...), abi.Address(request.URL)...)
		list = append(append(list, uint32(uintptr(headers)), count), abi.Bytes(request.Body)...)
	}
	l, _ := abi.Taken(list)
	var result [2]uint32
	hostHTTPSend(l, uint32(len(requests)), unsafe.Pointer(&result))
	runtime.KeepAlive(requests)
	runtime.KeepAlive(kept)
	// Each response is six words: whether it failed, then status, headers and body, or code and message.
	responses := make([]Response, 0, result[1])
	for words := abi.Given[uint32](result[0], 6*result[1]); len(words) > 0; words = words[6:] {
		if words[0]&0xff != 0 {
			responses = append(responses, Response{Code: textFrom(words[1:]), Message: textFrom(words[3:])})
			continue
		}
		response := Response{Status: int(words[1] & 0xffff), Body: abi.Given[byte](words[4], words[5])}
		for header := abi.Given[uint32](words[2], 4*words[3]); len(header) > 0; header = header[4:] {
			response.Headers = append(response.Headers, Label{textFrom(header), textFrom(header[2:])})
		}
		responses = append(responses, response)
	}
	return responses
}

// labelsOf lays out the labels in memory as the host reads them. The caller keeps the texts alive.
func labelsOf(labels []Label) (unsafe.Pointer, uint32) {
	var list []uint32
	for _, label := range labels {
		list = append(append(list, abi.Address(label.Name)...), abi.Address(label.Value)...)
	}
	l, _ := abi.Taken(list)
	return l, uint32(len(labels))
}

func columnFrom(words []uint32) Column {
	return Column{
		abi.Given[byte](words[0], words[1]), abi.Given[uint32](words[2], words[3]), abi.Given[byte](words[4], words[5]),
	}
}

func textFrom(words []uint32) string { return string(abi.Given[byte](words[0], words[1])) }

// errorFrom returns the error of a result, or nil if its first byte is 0.
func errorFrom(result [3]uint32) error {
	if result[0]&0xff == 0 {
		return nil
	}
	return errors.New(textFrom(result[1:]))
}
