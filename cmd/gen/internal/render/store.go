package render

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"gen.example/cmd/gen/internal/fleet"
	"gen.example/cmd/gen/internal/tree"
)

//go:embed backup/bucket
var bucketScript string

// objectStore is what the operator gives the object store: who may do what, and
// a script that makes the bucket, looks whether it is as it should be, and keeps it so.
func objectStore(f *fleet.Fleet) (files []*tree.File) {
	if f.Store == nil {
		return nil
	}
	add := func(name string, body []byte) {
		files = append(files, &tree.File{Path: "/store/" + name, Mode: "0644", Owner: "0:0", Body: body, Pos: f.Store.Bucket.Pos})
	}
	all := []grant{{"operator", []string{""}, operatorMay}}
	for _, h := range f.Hosts {
		var own, tried []string
		for _, s := range f.BackedUp(h) {
			own = append(own, f.BackupPrefix(h, s.Name))
		}
		for _, d := range f.Drills(h) {
			tried = append(tried, f.BackupPrefix(d.Host, d.Service.Name))
		}
		if len(own) > 0 {
			all = append(all, grant{h.Name.V, own, hostMay})
		}
		if len(tried) > 0 {
			all = append(all, grant{h.Name.V + "-drill", tried, drillMay})
		}
	}
	for _, g := range all {
		add(g.who+".json", indented(g.policy(f.Store.Bucket.V)))
	}
	if len(f.Store.Principals) > 0 {
		add("scaleway.json", indented(scaleway(f.Store, all)))
	}
	add("bucket", []byte(settings(f)+bucketScript))
	return files
}

// settings are the first lines of the script: what differs between fleets.
func settings(f *fleet.Fleet) string {
	s := f.Store
	return fmt.Sprintf("#!/bin/sh\n# %s\nbucket=%s region=%s mode=%s days=%d\n",
		madeBy("fleet.store"), s.Bucket.V, shellWords([]string{s.Region.V}), s.LockMode.V, s.Lock.V)
}

// A grant is what somebody may do below some prefixes of the bucket.
type grant struct {
	who      string
	prefixes []string
	may      may
}

// may are actions on the bucket, limited to the prefixes where they list, and on objects.
type may struct{ bucket, objects []string }

var (
	// It reads and writes. What it deletes or overwrites stays as a version, which it cannot touch,
	// under a lock that the bucket gives by itself and that it can neither shorten nor lengthen.
	hostMay = may{
		[]string{"s3:ListBucket", "s3:GetBucketLocation"},
		[]string{"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"},
	}
	// It reads, also what was there before.
	drillMay = may{
		[]string{"s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation", "s3:GetBucketVersioning"},
		[]string{"s3:GetObject", "s3:GetObjectVersion"},
	}
	// It makes the bucket, locks longer, and recovers.
	operatorMay = may{
		[]string{"s3:*"},
		[]string{"s3:*"},
	}
)

// never is denied to hosts in so many words, whatever else is said of them.
var never = []string{
	"s3:BypassGovernanceRetention", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:DeleteObjectVersion", "s3:PutBucketObjectLockConfiguration",
	"s3:PutBucketPolicy", "s3:PutBucketVersioning", "s3:PutLifecycleConfiguration", "s3:PutObjectLegalHold", "s3:PutObjectRetention",
}

// below are the objects of a grant, each after the bucket.
func (g grant) below(bucket string) (out []string) {
	for _, p := range g.prefixes {
		out = append(out, bucket+p+"*")
	}
	return out
}

// listing parts the actions on the bucket into those that list, only below the
// prefixes, and others. There is no condition for whoever may see all.
func (g grant) listing() (lists, others []string, only document) {
	if slices.Equal(g.prefixes, []string{""}) {
		return nil, g.may.bucket, nil
	}
	for _, a := range g.may.bucket {
		if strings.HasPrefix(a, "s3:List") {
			lists = append(lists, a)
		} else {
			others = append(others, a)
		}
	}
	return lists, others, document{"StringLike": document{"s3:prefix": g.below("")}}
}

// A document is a policy in JSON; its fields come in the order of their names.
type document = map[string]any

// policy is in the words of AWS, which MinIO takes too, for the user it is attached to.
func (g grant) policy(bucket string) document {
	list := document{"Effect": "Allow", "Action": g.may.bucket, "Resource": []string{"arn:aws:s3:::" + bucket}}
	statements := []document{list, {"Effect": "Allow", "Action": g.may.objects, "Resource": g.below("arn:aws:s3:::" + bucket + "/")}}
	if lists, others, only := g.listing(); only != nil {
		list["Action"] = others
		statements = append(statements,
			document{"Effect": "Allow", "Action": lists, "Resource": list["Resource"], "Condition": only},
			document{"Effect": "Deny", "Action": never, "Resource": []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"}})
	}
	return document{"Version": "2012-10-17", "Statement": statements}
}

// scaleway is one policy for the bucket. What it does not allow is denied to
// everybody, so whoever is to get in needs a statement.
func scaleway(s *fleet.Store, all []grant) document {
	var statements []document
	for _, g := range all {
		who, ok := s.Principals.Get(g.who)
		if !ok {
			continue
		}
		lists, others, only := g.listing()
		allow := func(what string, actions, resources []string) document {
			return document{"Sid": g.who + " " + what, "Effect": "Allow", "Principal": document{"SCW": who.V}, "Action": actions, "Resource": resources}
		}
		statements = append(statements,
			allow("bucket", others, []string{s.Bucket.V}),
			allow("objects", g.may.objects, g.below(s.Bucket.V+"/")))
		if only != nil {
			names := allow("names", lists, []string{s.Bucket.V})
			names["Condition"] = only
			statements = append(statements, names)
		}
	}
	return document{"Version": "2023-04-17", "Id": "gen", "Statement": statements}
}

func indented(d document) []byte {
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		panic(err) // it holds strings and lists of them
	}
	return append(b, '\n')
}
