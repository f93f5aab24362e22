package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"wattle"
	"wattle/state"
)

// Bounds of the memory; other events leave uncounted.
const (
	maxKeys = 100
	maxKey  = 64
)

type keyCount struct {
	Key   string
	Count uint64
}

// The state, as JSON.
type memory struct {
	// Start of the window, 0 before the first tick.
	Start  int64
	Counts []keyCount
}

// The counts so far. Your component has state.Export(1, save, restore) and timer.Export(tick) in an init function.
var (
	remembered memory
	window     time.Duration
)

// Prepares the memory, and returns the field of the key.
func prepared(options *wattle.Options) wattle.Field {
	path, sharing := options.Text("key"), options.Text("sharing")
	remembered, window = memory{}, time.Duration(options.Integer("window"))*time.Millisecond
	options.TickEvery(window)
	switch sharing {
	case "worker":
	case "single":
		options.ShareSingle()
	case "key":
		options.ShareByKey(path)
	default:
		options.Error("sharing", "must be worker, single or key")
	}
	return options.ReadField("key", path)
}

// Adds to the count of a key, if there is memory for it.
func (m *memory) add(key string, count uint64) bool {
	if len(key) > maxKey {
		return false
	}
	for i := range m.Counts {
		if m.Counts[i].Key == key {
			m.Counts[i].Count += count
			return true
		}
	}
	if len(m.Counts) == maxKeys {
		return false
	}
	// Strings of a batch are copies, so they can stay.
	m.Counts = append(m.Counts, keyCount{key, count})
	return true
}

// Counts events by key, and makes a metric of each count at the end of a window: a node with memory and a timer.
func memoryEvents(options *wattle.Options) wattle.Process {
	field := prepared(options)
	return wattle.EachEvent(func(event *wattle.Event) wattle.Action {
		if key, has := event.Get(field); has && remembered.add(key, 1) {
			return wattle.Hold
		}
		return wattle.Keep
	})
}

func memoryColumns(options *wattle.Options) wattle.Process {
	field := prepared(options)
	return wattle.AllRows(func(batch *wattle.Batch) error {
		keys := batch.Read(field, wattle.Text)
		var held []uint32
		for row := range batch.Rows() {
			key := keys.Row(row)
			if key != nil && remembered.add(strings.ToValidUTF8(string(key), "\uFFFD"), 1) {
				held = append(held, uint32(row))
			}
		}
		batch.Hold(held)
		return nil
	})
}

func tickMemory(tick *wattle.Tick) error {
	if remembered.Start == 0 {
		remembered.Start = tick.Now
	}
	if tick.Now-remembered.Start < window.Nanoseconds() && !tick.Last {
		return nil
	}
	events := wattle.NewEvents(wattle.MetricEvent)
	for _, counted := range remembered.Counts {
		body := fmt.Sprintf(`{"name":"events","type":"sum","temporality":"delta","value":%d}`, counted.Count)
		// The same window has the same id, even if the agent repeats it after a crash.
		id := fmt.Sprintf("%d-%s", remembered.Start, counted.Key)
		attributes, err := json.Marshal(map[string]string{"id": id, "key": counted.Key})
		if err != nil {
			return err
		}
		events.Push(body, string(attributes), tick.Now)
	}
	tick.Emit(0, events)
	tick.Count("reported", uint64(events.Len()))
	remembered = memory{Start: tick.Now}
	return nil
}

func saveMemory() []byte {
	saved, err := json.Marshal(remembered)
	if err != nil {
		panic(err)
	}
	return saved
}

// Adds all counts; the window began with the first of them.
func restoreMemory(snapshots []state.Snapshot) error {
	for _, snapshot := range snapshots {
		if snapshot.Version != 1 {
			return fmt.Errorf("state of version %d is not of version 1", snapshot.Version)
		}
		saved := memory{Start: -1}
		if err := json.Unmarshal(snapshot.Bytes, &saved); err != nil || saved.Start < 0 {
			return fmt.Errorf("the state is no memory: %v", err)
		}
		if saved.Start != 0 && (remembered.Start == 0 || saved.Start < remembered.Start) {
			remembered.Start = saved.Start
		}
		for _, counted := range saved.Counts {
			if !remembered.add(counted.Key, counted.Count) {
				return errors.New("the states have too many or too long keys")
			}
		}
	}
	return nil
}
