package main

import "wattle"

// Fails events in which a field is missing or empty.
func requireEvents(options *wattle.Options) wattle.Process {
	path := options.Text("field")
	field := options.ReadField("field", path)
	return wattle.EachEvent(func(event *wattle.Event) wattle.Action {
		switch text, has := event.Get(field); {
		case !has:
			return wattle.Fail("missing", "the field `"+path+"` is missing")
		case text == "":
			return wattle.Fail("empty", "the field `"+path+"` is empty")
		}
		return wattle.Keep
	})
}

func requireColumns(options *wattle.Options) wattle.Process {
	path := options.Text("field")
	field := options.ReadField("field", path)
	missing, empty := "the field `"+path+"` is missing", "the field `"+path+"` is empty"
	return wattle.AllRows(func(batch *wattle.Batch) error {
		texts := batch.Read(field, wattle.Text)
		var reasons wattle.Reasons
		for row := range batch.Rows() {
			if text := texts.Row(row); text == nil {
				reasons.Add(row, "missing", missing)
			} else if len(text) == 0 {
				reasons.Add(row, "empty", empty)
			}
		}
		batch.Fail(&reasons)
		return nil
	})
}
