package watch

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
)

// Names are the metrics that a PromQL expression asks for, sorted. It looks at
// words alone: what is no function, no keyword and no label is a metric.
func Names(expr string) (names []string) {
	expr = notMetrics.ReplaceAllString(expr, " ")
	for _, at := range word.FindAllStringIndex(expr, -1) {
		name := expr[at[0]:at[1]]
		if !strings.HasPrefix(strings.TrimLeft(expr[at[1]:], " \n\t"), "(") && !slices.Contains(keywords, strings.ToLower(name)) && !strings.ContainsAny(name[:1], "0123456789.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

var (
	word = regexp.MustCompile(`[0-9.]*[A-Za-z_:0-9]+`)

	// Strings, braces with labels, ranges, and lists of labels after the words
	// that take one: on (host).
	notMetrics = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\{(?:[^}"]|"(?:[^"\\]|\\.)*")*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)

	keywords = []string{"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "inf", "nan", "atan2",
		"sum", "min", "max", "avg", "count", "group", "stddev", "stdvar", "topk", "bottomk", "quantile", "count_values"} // an aggregation may have its labels before its braces
)

// A Range is how far back a PromQL expression looks at a metric.
type Range struct {
	Text string
	Span fleet.Seconds
}

// Ranges are those of a PromQL expression that look at samples: a subquery looks
// at what it evaluates itself.
func Ranges(expr string) (all []Range) {
	for _, m := range between.FindAllStringSubmatch(notRanges.ReplaceAllString(expr, " "), -1) {
		all = append(all, Range{m[1], span(m[1])})
	}
	return all
}

var (
	notRanges = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\{(?:[^}"]|"(?:[^"\\]|\\.)*")*\}`)
	between   = regexp.MustCompile(`\[\s*([0-9a-z.]+)\s*\]`)
	part      = regexp.MustCompile(`([0-9.]+)(ms|[smhdwy]?)`)
	seconds   = map[string]float64{"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
)

// span is a duration as PromQL writes it: parts such as 1h30m, or a number of seconds.
func span(text string) fleet.Seconds {
	sum := 0.0
	for _, p := range part.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.ParseFloat(p[1], 64)
		sum += n * seconds[p[2]]
	}
	return fleet.Seconds(sum)
}

// Exported reports whether a metric is one that targets say they have.
func Exported(name string, targets []*Target) bool {
	return slices.ContainsFunc(targets, func(t *Target) bool {
		for _, n := range t.Metrics.Names {
			if strings.HasPrefix(name, n.V) {
				return true
			}
		}
		return false
	})
}

// Asked are the targets that an alert of a service can ask: its own, unless it
// looks at the whole fleet. What Prometheus says of its scrapes is there for all.
func Asked(targets []*Target, host, service string, all bool) (own []*Target) {
	for _, t := range targets {
		if all || t.Host.Name.V == host && t.Service == service {
			own = append(own, t)
		}
	}
	return own
}

// Always are the metrics that Prometheus makes by itself of every scrape, by
// what their names begin with.
var Always = []string{"up", "scrape_", "ALERTS"}
