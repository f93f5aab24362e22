package main

import (
	"errors"
	"fmt"
	"time"

	"wattle"
)

// How long a key stays claimed, and a value stored.
const ttl = time.Minute

// The arguments of a decision.
type call struct {
	*wattle.Batch
	body, field, attributes, set wattle.Field
	rows                         int
	odd                          []uint32
	marks                        []byte
}

// Every decision by name.
var all = map[string]func(c *call) error{
	"replace": func(c *call) error {
		starts, ends := c.firsts()
		texts := wattle.NewWriter(1, 1)
		texts.Push("*")
		c.Replace(c.body, wattle.Text, starts, ends, texts)
		return nil
	},
	"replace-each": func(c *call) error {
		starts, ends := c.firsts()
		c.Replace(c.body, wattle.Text, starts, ends, each(len(starts), func(row int) string { return fmt.Sprintf("<%d>", row) }))
		return nil
	},
	"set": func(c *call) error {
		values := wattle.NewWriter(0, c.rows)
		for row := range c.rows {
			if row%2 == 1 {
				values.PushNone()
			} else {
				values.Push(fmt.Sprint("row ", row))
			}
		}
		c.Set(c.set, wattle.Text, values)
		return nil
	},
	"set-json": func(c *call) error {
		c.Set(c.set, wattle.JSON, each(c.rows, func(row int) string { return fmt.Sprintf(`{"row":%d}`, row) }))
		return nil
	},
	"set-json-from": func(c *call) error {
		for row, kind := range c.CheckJSON(c.body) {
			c.marks[row] = 0
			if kind == wattle.Object {
				c.marks[row] = 1
			}
		}
		c.SetJSONFrom(c.attributes, c.body, c.marks)
		return nil
	},
	"set-timestamp": func(c *call) error {
		times := make([]int64, c.rows)
		for row := range times {
			times[row] = int64(row) * 1_000_000_000
			if row%2 == 1 {
				times[row] = wattle.Leave
			}
		}
		c.SetTimestamp(times)
		return nil
	},
	"split": func(c *call) error {
		// Only positions cross the sandbox boundary.
		bodies := c.Read(c.body, wattle.Text)
		var parents, starts, ends []uint32
		for row := range c.rows {
			start, last := bodies.Offsets[row], bodies.Offsets[row+1]
			for at := start; at <= last; at++ {
				if at == last || bodies.Bytes[at] == ',' {
					parents, starts, ends = append(parents, uint32(row)), append(starts, start), append(ends, at)
					start = at + 1
				}
			}
		}
		c.Split(c.body, wattle.Text, parents, starts, ends, "[", "]")
		return nil
	},
	"split-into": func(c *call) error {
		bodies := c.Read(c.body, wattle.Text)
		var parents []uint32
		for row := range c.rows {
			parents = append(parents, uint32(row), uint32(row))
		}
		c.SplitInto(parents, each(2*c.rows, func(child int) string {
			return fmt.Sprintf("%s/%d", bodies.Row(child/2), child%2+1)
		}))
		return nil
	},
	"combine": func(c *call) error { c.combine(); return nil },
	"hold":    func(c *call) error { c.Hold(c.odd); return nil },
	"emit": func(c *call) error {
		events := wattle.NewEvents(wattle.LogEvent)
		for row := range c.rows {
			if row%2 == 1 {
				events.Push(fmt.Sprint("made ", row), "", wattle.NoTime)
			} else {
				events.Push(fmt.Sprint("made ", row), fmt.Sprintf(`{"row":%d}`, row), int64(row)*1_000_000_000)
			}
		}
		c.Emit(1, events)
		return nil
	},
	"emit-kinds": func(c *call) error {
		for kind, body := range []string{"log", "metric", "span"} {
			events := wattle.NewEvents(wattle.EventKind(kind))
			events.Push(body, "", wattle.NoTime)
			c.Emit(0, events)
		}
		return nil
	},
	"drop":    func(c *call) error { c.Drop(c.odd, "odd"); return nil },
	"route":   func(c *call) error { c.Route(c.marks); return nil },
	"copy-to": func(c *call) error { c.CopyTo(1, c.odd); return nil },
	"fail": func(c *call) error {
		var reasons wattle.Reasons
		for _, row := range c.odd {
			reasons.Add(int(row), "odd", fmt.Sprint("row ", row))
		}
		c.Fail(&reasons)
		return nil
	},
	"redelivered": func(c *call) error {
		c.Set(c.set, wattle.Text, each(c.rows, func(row int) string { return fmt.Sprint(c.Redelivered()) }))
		return nil
	},
	"read-text": func(c *call) error {
		texts := c.Read(c.field, wattle.Text)
		c.Set(c.set, wattle.Text, each(c.rows, func(row int) string {
			if text := texts.Row(row); text != nil {
				return "text " + string(text)
			}
			return "none"
		}))
		return nil
	},
	"read-json": func(c *call) error {
		values := c.Read(c.field, wattle.JSON)
		c.Set(c.set, wattle.Text, each(c.rows, func(row int) string {
			return fmt.Sprintf("%d %s", values.Kinds[row], values.Row(row))
		}))
		return nil
	},
	"claim": func(c *call) error {
		var known []uint32
		for row, isNew := range wattle.SeenClaim(c.Read(c.field, wattle.Text), ttl) {
			if isNew == 0 {
				known = append(known, uint32(row))
			}
		}
		c.Drop(known, "seen")
		return nil
	},
	"kv": func(c *call) error {
		keys, bodies := c.Read(c.field, wattle.Text), c.Read(c.body, wattle.Text)
		if err := wattle.KvSet(keys, bodies, ttl); err != nil {
			return err
		}
		if err := wattle.KvSet(keys, bodies, wattle.Forever); err != nil {
			return err
		}
		c.SetColumn(c.set, wattle.Text, wattle.KvGet(keys))
		return nil
	},
	"error": func(c *call) error { return errors.New("refused on purpose") },
	"panic": func(c *call) error { panic("broken on purpose") },
	"no-such-port": func(c *call) error {
		for row := range c.marks {
			c.marks[row] = 9
		}
		c.Route(c.marks)
		return nil
	},
	"no-such-group": func(c *call) error {
		c.Combine([]uint32{uint32(c.rows)}, []uint32{0, 1}, each(1, func(int) string { return "x" }))
		return nil
	},
}

// Makes each decision of the contract, as an example of the call.
func decisions(options *wattle.Options) wattle.Process {
	name := options.Text("decision")
	decide, found := all[name]
	if !found {
		options.Error("decision", "there is no `"+name+"`")
	}
	options.Ports("out", "other")
	body, field := options.ChangeField("", "body"), options.ReadField("", "body.f")
	attributes, set := options.WriteField("", "attributes"), options.WriteField("", "attributes.set")
	return wattle.AllRows(func(batch *wattle.Batch) error {
		c := &call{batch, body, field, attributes, set, batch.Rows(), nil, make([]byte, batch.Rows())}
		for row := range c.rows {
			if row%2 == 1 {
				c.marks[row] = 1
				c.odd = append(c.odd, uint32(row))
			}
		}
		return decide(c)
	})
}

// The position of the first byte of each body that has one.
func (c *call) firsts() (starts, ends []uint32) {
	bodies := c.Read(c.body, wattle.Text)
	for row := range c.rows {
		if start := bodies.Offsets[row]; bodies.Offsets[row+1] > start {
			starts, ends = append(starts, start), append(ends, start+1)
		}
	}
	return starts, ends
}

// Joins each pair of neighbours.
func (c *call) combine() {
	bodies := c.Read(c.body, wattle.Text)
	var rows, offsets []uint32
	for row := range c.rows {
		rows = append(rows, uint32(row))
		if row%2 == 0 {
			offsets = append(offsets, uint32(row))
		}
	}
	offsets = append(offsets, uint32(c.rows))
	c.Combine(rows, offsets, each(len(offsets)-1, func(pair int) string {
		if first := 2 * pair; first+1 < c.rows {
			return string(bodies.Row(first)) + "+" + string(bodies.Row(first+1))
		}
		return string(bodies.Row(2 * pair))
	}))
}

func each(rows int, text func(row int) string) *wattle.Writer {
	values := wattle.NewWriter(0, rows)
	for row := range rows {
		values.Push(text(row))
	}
	return values
}
