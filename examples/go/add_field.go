package main

import (
	"strings"

	"wattle"
)

// Sets a field to a prefix and the text of another field, for events that have it.
func addFieldEvents(options *wattle.Options) wattle.Process {
	from := options.ReadField("from", options.Text("from"))
	to := options.WriteField("to", options.Text("to"))
	prefix := options.Text("prefix")
	return wattle.EachEvent(func(event *wattle.Event) wattle.Action {
		if text, has := event.Get(from); has {
			event.Set(to, prefix+text)
		}
		return wattle.Keep
	})
}

func addFieldColumns(options *wattle.Options) wattle.Process {
	from := options.ReadField("from", options.Text("from"))
	to := options.WriteField("to", options.Text("to"))
	prefix := options.Text("prefix")
	return wattle.AllRows(func(batch *wattle.Batch) error {
		texts, rows := batch.Read(from, wattle.Text), batch.Rows()
		values := wattle.NewWriter(len(texts.Bytes)+rows*len(prefix), rows)
		for row := range rows {
			if text := texts.Row(row); text != nil {
				values.Push(prefix + strings.ToValidUTF8(string(text), "\uFFFD"))
			} else {
				values.PushNone()
			}
		}
		batch.Set(to, wattle.Text, values)
		return nil
	})
}
