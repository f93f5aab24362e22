package main

import (
	"fmt"
	"strconv"

	"wattle"
	"wattle/state"
)

// The number of events so far: the state, which goes on in the instance after it. Your component has
// state.Export(1, save, restore) in an init function.
var counted uint64

// Sets a field to the number of the event, counted from 1: a node with state.
func countEvents(options *wattle.Options) wattle.Process {
	to := options.WriteField("to", options.Text("to"))
	counted = 0
	return wattle.EachEvent(func(event *wattle.Event) wattle.Action {
		counted++
		event.Set(to, strconv.FormatUint(counted, 10))
		return wattle.Keep
	})
}

func countColumns(options *wattle.Options) wattle.Process {
	to := options.WriteField("to", options.Text("to"))
	counted = 0
	return wattle.AllRows(func(batch *wattle.Batch) error {
		values := wattle.NewWriter(8*batch.Rows(), batch.Rows())
		for range batch.Rows() {
			counted++
			values.Push(strconv.FormatUint(counted, 10))
		}
		batch.Set(to, wattle.Text, values)
		return nil
	})
}

func saveCount() []byte { return strconv.AppendUint(nil, counted, 10) }

func restoreCount(snapshots []state.Snapshot) error {
	all := uint64(0)
	for _, snapshot := range snapshots {
		if snapshot.Version != 1 {
			return fmt.Errorf("state of version %d is not of version 1", snapshot.Version)
		}
		number, err := strconv.ParseUint(string(snapshot.Bytes), 10, 64)
		if err != nil {
			return fmt.Errorf("the state is no count: %w", err)
		}
		all += number
	}
	counted = all
	return nil
}
