package render

import (
	"cmp"
	"encoding/xml"
	"maps"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

// An outline is a feed as OPML 2.0 knows it.
type outline struct {
	XMLName xml.Name `xml:"outline"`
	Text    string   `xml:"text,attr"`
	Title   string   `xml:"title,attr"`
	Type    string   `xml:"type,attr"`
	XMLURL  string   `xml:"xmlUrl,attr"`
	About   string   `xml:"description,attr"`
}

// releases are the feeds of all programs that the fleet runs, one each, as an
// outline that feed readers import (OPML 2.0).
func releases(f *fleet.Fleet) *tree.File {
	images := map[string][]string{} // by feed
	if f.Store != nil {
		images["https://github.com/kopia/kopia/releases.atom"] = []string{f.Store.Kopia.V}
	}
	for _, h := range f.Hosts {
		for _, s := range h.Services {
			for _, c := range s.V.Containers {
				if c.V.Feed.Set {
					images[c.V.Feed.V] = append(images[c.V.Feed.V], c.V.Image.V)
				}
			}
		}
	}
	var b strings.Builder
	b.WriteString(xml.Header + "<!-- " + madeBy("the feeds of all containers") + " -->\n" +
		"<opml version=\"2.0\">\n  <head>\n    <title>Releases of what " + f.Domain.V + " runs</title>\n  </head>\n  <body>\n")
	for _, feed := range slices.Sorted(maps.Keys(images)) {
		running := slices.Compact(slices.Sorted(slices.Values(images[feed])))
		name := program(slices.MinFunc(running, func(a, b string) int { return cmp.Compare(len(a), len(b)) }))
		line, err := xml.Marshal(outline{Text: name, Title: name, Type: "rss", XMLURL: feed, About: "running: " + strings.Join(running, ", ")})
		if err != nil {
			panic("render: an outline cannot be XML: " + err.Error())
		}
		b.WriteString("    " + strings.Replace(string(line), "></outline>", "/>", 1) + "\n")
	}
	b.WriteString("  </body>\n</opml>\n")
	return &tree.File{Path: "/releases.opml", Mode: "0644", Owner: "0:0", Body: []byte(b.String())}
}

// program is an image's name without its registry and tag.
func program(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, name, _ := strings.Cut(image, "/")
	name, _, _ = strings.Cut(name, ":")
	return strings.TrimPrefix(name, "library/")
}
