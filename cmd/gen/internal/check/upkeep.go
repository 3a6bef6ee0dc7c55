package check

import (
	"regexp"
	"strings"

	"gen.example/cmd/gen/internal/finding"
	"gen.example/cmd/gen/internal/fleet"
)

// upkeep checks what is said of an image's tags and releases, and that a newer
// image which podman takes by itself could be taken back.
func (k *containerChecker) upkeep() {
	c := k.container
	if c.Feed.Set {
		k.line(c.Feed.V, k.what+": its feed", k.at(c.Feed.Pos))
	}
	var follow *regexp.Regexp
	if t := c.Tags; t != nil {
		switch where := k.at(t.Follow.Pos, t.None.Pos); {
		case t.Follow.Set && t.None.Set:
			k.find(finding.Update, where, "%s says both which tags follow a line and why none does", k.what).Hintf("keep follow or none")
		case !t.Follow.Set && !t.None.Set:
			k.find(finding.Update, where, "%s says neither which tags follow a line nor why none does", k.what).
				Hintf("say tags: follow: \"…\", an expression over tags, or tags: none: \"…\", the reason")
		}
		re, err := regexp.Compile("^(" + t.Follow.V + ")$")
		if err != nil {
			k.find(finding.Update, k.at(t.Follow.Pos), "%s: %q is no regular expression over tags", k.what, t.Follow.V).
				Hintf("such as [0-9]+(\\.[0-9]+)?; see https://pkg.go.dev/regexp/syntax")
			return
		}
		if t.Follow.Set {
			follow = re
		}
	}
	if c.Update.V != "minor" {
		return
	}
	if against := k.againstUpdates(follow); len(against) > 0 {
		f := k.find(finding.Update, k.at(c.Update.Pos), "%s cannot be updated by itself: %s", k.what, strings.Join(against, "; "))
		f.Hintf("say update: \"none\", and raise its version in a change that can be reviewed")
	}
}

// againstUpdates are the reasons why a newer image would not come, or could not go.
func (k *containerChecker) againstUpdates(follow *regexp.Regexp) (reasons []string) {
	c := k.container
	image, _, digest := strings.Cut(c.Image.V, "@")
	_, tag, _ := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	switch {
	case digest:
		reasons = append(reasons, "its image is written with a digest, which never changes")
	case follow == nil && c.Tags != nil && c.Tags.None.Set:
		reasons = append(reasons, "no tag follows a line ("+c.Tags.None.V+")")
	case follow == nil:
		reasons = append(reasons, "it does not say which tags follow a line")
	case !follow.MatchString(tag):
		reasons = append(reasons, "its tag "+tag+" does not follow a line")
	}
	switch {
	case c.Oneshot.V:
		reasons = append(reasons, "it does not run all the time")
	case c.Health == nil || len(c.Health.Command) == 0:
		reasons = append(reasons, "nothing tells whether a new one is ready")
	}
	if k.service.V.Pod.V {
		reasons = append(reasons, "the whole pod would restart with it")
	}
	if c.Database != nil {
		reasons = append(reasons, "it is a database, whose files would not go back with it")
	} else if db := k.database(k.name, map[string]bool{}); db != "" {
		reasons = append(reasons, "the database "+db+" would not go back with it")
	}
	for _, l := range k.service.V.Lines {
		if _, guarded := l.V.Containers.Get(k.name); guarded && !l.V.Back.V {
			reasons = append(reasons, "its data line "+l.V.Line.V+" does not go back")
		}
	}
	return reasons
}

// database is the database that a container of the service is, or needs, or "".
func (k *containerChecker) database(name string, seen map[string]bool) string {
	c, ok := k.service.V.Containers.Get(name)
	if !ok || seen[name] {
		return ""
	}
	seen[name] = true
	if c.Database != nil {
		return fleet.ContainerName(k.service.Name, name)
	}
	for _, n := range c.Needs {
		if db := k.database(n.Name, seen); db != "" {
			return db
		}
	}
	return ""
}

// images checks the images that have a unit of their own.
func (c *hostChecker) images(s fleet.Entry[*fleet.Service]) {
	for _, i := range s.V.Images {
		where := at(i.V.Image.Pos, i.Pos, s.Pos)
		what := s.Name + "'s image " + i.Name
		right := c.reference(i.V.Image.V, what, where)
		c.sections(i.V.Unit, "image", what, s.Pos)
		used := false
		for _, cont := range s.V.Containers {
			used = used || cont.V.Image.V == i.V.Image.V
		}
		if right && !used {
			c.find(finding.Image, where, "%s is %s, which no container runs", what, i.V.Image.V).
				Hintf("a container waits for an image of the very same reference")
		}
	}
}
