package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDue: times of day, as systemd-analyze calendar shows them.
func TestDue(t *testing.T) {
	at := func(hours ...int) (out []span) {
		for _, h := range hours {
			out = append(out, span{h * 3600, h * 3600})
		}
		return out
	}
	for event, want := range map[string][]span{
		"daily":                      at(0),
		"Mon *-*-01":                 at(0),
		"02:30":                      {{9000, 9000}},
		"Sun 2:30:15":                {{9000, 9000}},
		"*-*-* 03:00:00 UTC":         at(3),
		"Mon..Fri *-*-* 1,3:00":      at(1, 3),
		"*-*-* 8..10:00":             at(8, 9, 10),
		"00/6:00":                    at(0, 6, 12, 18),
		"1..9/4:00":                  at(1, 5, 9),
		"*/8:0":                      at(0, 8, 16),
		"2:0/15":                     {{7200, 10799}},
		"hourly":                     always,
		"2026-01-01 4:00":            at(4),
		"*-*-* 22:00:00 Europe/Rome": at(22),
	} {
		if diff := cmp.Diff(want, due(event), cmp.AllowUnexported(span{})); diff != "" {
			t.Errorf("%s: it is due otherwise (+) than it is (-):\n%s", event, diff)
		}
	}
}
