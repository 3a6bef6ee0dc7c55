package finding

import (
	"fmt"
	"strings"
)

// DidYouMean suggests the nearest of the names, or falls back to other help. A
// short name may have one letter wrong, a longer one two.
func DidYouMean(name string, names []string, otherwise string) string {
	best, least := "", 3
	if len(name) < 5 {
		least = 2
	}
	for _, n := range names {
		d := distance(name, n)
		if strings.EqualFold(strings.TrimLeft(name, "#_"), strings.TrimLeft(n, "#_")) {
			d = min(d, 1)
		}
		if d < least {
			best, least = n, d
		}
	}
	if best == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance is the number of letters to add, drop, replace or swap.
func distance(x, y string) int {
	a, b := []rune(x), []rune(y)
	prev2, prev := []int(nil), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, prev[j+1]+1, prev[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], prev2[j-1]+1)
			}
		}
		prev2, prev = prev, row
	}
	return prev[len(b)]
}
