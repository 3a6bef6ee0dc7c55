package check

import (
	"slices"
	"strconv"
	"strings"
)

// A span is from a second of the day to another.
type span struct{ from, to int }

var always = []span{{0, day - 1}}

// Shorthands of systemd.time(7) that are no time of day.
var often = []string{"minutely", "hourly"}

// due are the times of day at which a calendar event may come, as
// systemd.time(7) has it. Days do not count, for backups are made on each.
func due(event string) (out []span) {
	if slices.Contains(often, strings.ToLower(event)) {
		return always
	}
	clock := "00:00"
	for _, word := range strings.Fields(event) {
		if strings.Contains(word, ":") {
			clock = word
		}
	}
	parts := strings.Split(clock, ":")
	for hour := range 24 {
		if !matches(parts[0], hour) {
			continue
		}
		from := hour * 3600
		if m, err := strconv.Atoi(parts[1]); err == nil {
			out = append(out, span{from + m*60, from + m*60})
		} else {
			out = append(out, span{from, from + 3599})
		}
	}
	return out
}

// matches reports whether a component such as "2", "*", "1,3", "8..17" or "*/4" has a number.
func matches(component string, n int) bool {
	return slices.ContainsFunc(strings.Split(component, ","), func(part string) bool {
		part, repeat, repeated := strings.Cut(part, "/")
		low, high, between := strings.Cut(part, "..")
		if part == "*" {
			low, high, between = "0", "59", true
		}
		from, _ := strconv.Atoi(low)
		to, _ := strconv.Atoi(high)
		step, _ := strconv.Atoi(repeat)
		switch {
		case !repeated && !between:
			return n == from
		case !between:
			to = 59
		}
		return from <= n && n <= to && (n-from)%max(step, 1) == 0
	})
}
